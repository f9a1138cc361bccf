//! The arithmetic of F(4x4, 3x3) on the CPU: filters for the device, and how large its sums' terms can be.
//!
//! A tile of 4x4 results of a 3x3 convolution is `A^T [sum over channels of (G g G^T) * (B^T d B)] A`, `*` element by element,
//! of the 6x6 pixels `d` under it: 36 products for each pair of channels in place of 144. S. Winograd, Arithmetic Complexity
//! of Computations, SIAM 1980; A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016. The
//! matrices are those of Toom and Cook for the points 0, 1/sqrt(2), -1/sqrt(2), sqrt(2), -sqrt(2) and infinity, whose inverses
//! are among themselves, so that numbers stay nearer to 1 than with 0, 1, -1, 2, -2. B. Barabasz et al., Error Analysis and
//! Improving the Accuracy of Winograd Convolution for Deep Neural Networks, ACM TOMS 46(4), 2020, compares points.

use super::{POINTS, TILE};
use crate::linalg::{Threads, matmul, matrix};
use crate::ops::conv::ConvShape;
use crate::ops::finish::Finish;
use ndarray::ArrayViewMut2;
use rayon::prelude::*;
use std::f64::consts::{FRAC_1_SQRT_2 as NEAR, SQRT_2 as FAR};

/// Pixels under a tile, and points, along an axis.
const SPAN: usize = TILE + 2;

/// Powers of the points; infinity has the highest one alone.
const A: [[f64; TILE]; SPAN] = [
    [1.0, 0.0, 0.0, 0.0],
    [1.0, NEAR, 0.5, 0.5 * NEAR],
    [1.0, -NEAR, 0.5, -0.5 * NEAR],
    [1.0, FAR, 2.0, 2.0 * FAR],
    [1.0, -FAR, 2.0, -2.0 * FAR],
    [0.0, 0.0, 0.0, 1.0],
];

/// Powers of the points, each row divided by the product of the point's differences from the others.
const G: [[f64; 3]; SPAN] = [
    [1.0, 0.0, 0.0],
    [-2.0 / 3.0, -2.0 / 3.0 * NEAR, -1.0 / 3.0],
    [-2.0 / 3.0, 2.0 / 3.0 * NEAR, -1.0 / 3.0],
    [1.0 / 6.0, FAR / 6.0, 1.0 / 3.0],
    [1.0 / 6.0, -FAR / 6.0, 1.0 / 3.0],
    [0.0, 0.0, 1.0],
];

/// Coefficients of `x (x^2 - 1/2) (x^2 - 2)` without the factor of each point; of all of it for infinity.
const B_T: [[f64; SPAN]; SPAN] = [
    [1.0, 0.0, -2.5, 0.0, 1.0, 0.0],
    [0.0, -FAR, -2.0, NEAR, 1.0, 0.0],
    [0.0, FAR, -2.0, -NEAR, 1.0, 0.0],
    [0.0, -NEAR, -0.5, FAR, 1.0, 0.0],
    [0.0, NEAR, -0.5, -FAR, 1.0, 0.0],
    [0.0, 1.0, 0.0, -2.5, 0.0, 1.0],
];

/// `G g G^T` of a 3x3 filter.
pub(super) fn filter(g: impl Fn(usize) -> f64) -> [f64; POINTS] {
    std::array::from_fn(|point| {
        let [row, column] = [G[point / SPAN], G[point % SPAN]];
        (0..9).map(|tap| row[tap / 3] * g(tap) * column[tap % 3]).sum()
    })
}

/// How large the terms of each finished sum can be: the same steps with the absolute value of every matrix, pixel and
/// transformed filter, in f64.
pub(super) fn magnitudes(shape: &ConvShape, image: &[f64], filters: &[f64], finish: &Finish<'_, f64>) -> Vec<f64> {
    sums(shape, image, filters, finish, f64::abs)
}

/// The finished sums `[n, oc, oy, ox]`, with something done to every number that is multiplied.
fn sums(
    shape: &ConvShape,
    image: &[f64],
    filters: &[f64],
    finish: &Finish<'_, f64>,
    each: impl Fn(f64) -> f64 + Copy + Sync,
) -> Vec<f64> {
    let [rows, columns] = shape.out;
    let across = columns.div_ceil(TILE);
    let transformed = transformed_filters(shape, filters, each);
    let pixels = shape.in_c * shape.image[0] * shape.image[1];
    let mut output = vec![0.0; shape.output().iter().product()];
    // A row of tiles at a time: what is transformed is larger than what it was.
    let bands = (0..shape.batch).flat_map(|n| (0..rows.div_ceil(TILE)).map(move |band| (n, band)));
    let sums: Vec<_> = bands
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|(n, band)| {
            let pixels = &image[n * pixels..][..pixels];
            (n, band, band_of_tiles(shape, pixels, &transformed, band, each))
        })
        .collect();
    for (n, band, tiles) in sums {
        let height = TILE.min(rows - band * TILE);
        for (oc, tiles) in tiles.chunks(TILE * TILE * across).enumerate() {
            let plane = (n * shape.out_c + oc) * rows * columns;
            for (y, x) in (0..height).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                output[plane + (band * TILE + y) * columns + x] = tiles[(y * TILE + x % TILE) * across + x / TILE];
            }
        }
    }
    let plane = (rows * columns).max(1);
    output.par_chunks_mut(plane).enumerate().for_each(|(at, sums)| finish.apply(at * plane, sums));
    output
}

/// `[point][oc][ic]`.
fn transformed_filters(shape: &ConvShape, filters: &[f64], each: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut transformed = vec![0.0; POINTS * shape.out_c * shape.in_c];
    for (at, taps) in filters.chunks(9).enumerate() {
        for (point, value) in filter(|tap| taps[tap]).into_iter().enumerate() {
            transformed[point * shape.out_c * shape.in_c + at] = each(value);
        }
    }
    transformed
}

/// `[oc][4][4][tile]` of a row of tiles.
fn band_of_tiles(
    shape: &ConvShape,
    image: &[f64],
    filters: &[f64],
    band: usize,
    each: impl Fn(f64) -> f64 + Copy,
) -> Vec<f64> {
    let [h, w] = shape.image;
    let across = shape.out[1].div_ceil(TILE);
    let pads = shape.window.pads;
    let pixel = |ic: usize, y: usize, x: usize| {
        let (y, x) = ((band * TILE + y).wrapping_sub(pads.top), x.wrapping_sub(pads.left));
        if y < h && x < w { each(image[(ic * h + y) * w + x]) } else { 0.0 }
    };
    let mut tiles = vec![0.0; POINTS * shape.in_c * across];
    for (ic, tile) in (0..shape.in_c).flat_map(|ic| (0..across).map(move |tile| (ic, tile))) {
        let d: [[f64; SPAN]; SPAN] = std::array::from_fn(|y| std::array::from_fn(|x| pixel(ic, y, tile * TILE + x)));
        let v = both_sides(&B_T.map(|row| row.map(each)), &d);
        for (point, value) in v.as_flattened().iter().enumerate() {
            tiles[(point * shape.in_c + ic) * across + tile] = *value;
        }
    }
    let mut products = vec![0.0; POINTS * shape.out_c * across];
    let per_point = products.chunks_mut((shape.out_c * across).max(1)).enumerate();
    for (point, products) in per_point {
        let filters =
            matrix([shape.out_c, shape.in_c], &filters[point * shape.out_c * shape.in_c..][..shape.out_c * shape.in_c]);
        let tiles = matrix([shape.in_c, across], &tiles[point * shape.in_c * across..][..shape.in_c * across]);
        let products = ArrayViewMut2::from_shape((shape.out_c, across), products).expect("a product for each tile");
        matmul(filters, tiles, products, Threads::One);
    }
    let a_t: [[f64; SPAN]; TILE] = std::array::from_fn(|row| std::array::from_fn(|point| each(A[point][row])));
    let mut results = vec![0.0; shape.out_c * TILE * TILE * across];
    for (oc, tile) in (0..shape.out_c).flat_map(|oc| (0..across).map(move |tile| (oc, tile))) {
        let m: [[f64; SPAN]; SPAN] = std::array::from_fn(|row| {
            std::array::from_fn(|column| products[((row * SPAN + column) * shape.out_c + oc) * across + tile])
        });
        for (at, value) in both_sides(&a_t, &m).as_flattened().iter().enumerate() {
            results[(oc * TILE * TILE + at) * across + tile] = *value;
        }
    }
    results
}

/// `m x m^T`.
fn both_sides<const N: usize>(m: &[[f64; SPAN]; N], x: &[[f64; SPAN]; SPAN]) -> [[f64; N]; N] {
    let dot = |a: &[f64; SPAN], b: [f64; SPAN]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let left: [[f64; SPAN]; N] =
        std::array::from_fn(|row| std::array::from_fn(|column| dot(&m[row], x.map(|row| row[column]))));
    std::array::from_fn(|row| std::array::from_fn(|column| dot(&m[column], left[row])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::im2col;
    use crate::ops::window::{Pads, Window};
    use crate::ops::{Activation, finish::Channel};
    use crate::random::Random;

    #[test]
    fn it_is_the_convolution() {
        let mut random = Random::new(1);
        for out in [[4, 4], [5, 7], [1, 2], [9, 8]] {
            let pads = Pads { top: 1, left: 0, bottom: 1, right: 2 };
            let window = Window { kernel: [3, 3], pads, ..Window::pointwise() };
            let shape = ConvShape { batch: 2, in_c: 3, image: [out[0], out[1]], out_c: 5, out, groups: 1, window };
            let mut numbers = |len: usize| (0..len).map(|_| f64::from(random.real(&(-1.0..1.0)))).collect::<Vec<f64>>();
            let image = numbers(2 * 3 * out[0] * out[1]);
            let filters = numbers(5 * 3 * 9);
            let channels = vec![Channel { factor: 0.5, offset: 0.25, slope: 0.0 }; 5];
            let pixels = out[0] * out[1];
            let finish = Finish { channels, pixels, residual: None, activation: Activation::Identity };
            let direct = im2col::conv(&shape, &image, &filters, &finish);
            let found = sums(&shape, &image, &filters, &finish, |x| x);
            for (a, b) in direct.iter().zip(&found) {
                assert!((a - b).abs() < 1e-13, "{a} {b}");
            }
            let least = magnitudes(&shape, &image, &filters, &finish);
            assert!(least.iter().zip(&direct).all(|(most, x)| *most >= x.abs()));
        }
    }
}
