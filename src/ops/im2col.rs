//! Convolution on the CPU as matrix products: patches of the image become columns, filters are rows. A band of columns at a
//! time is gathered, multiplied and finished, so that it need not leave the cache in between.

use super::conv::ConvShape;
use super::finish::Finish;
use super::lattice::Lattice;
use super::window::{Window, copy_strided};
use crate::linalg::{Threads, matmul, matrix};
use crate::tensor::Real;
use ndarray::{ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use std::ops::Range;

/// Elements of a band at most, patches and sums together: about as many as a core's second cache holds.
const BAND_ELEMENTS: usize = 1 << 18;
/// Columns of a band at least, where there are so many: a product of fewer leaves vector registers empty.
const BAND_COLUMNS: usize = 64;

/// The finished sums `[n, oc, oy, ox]` of an input `[n, ic, iy, ix]` and weights `[oc, ic / groups, ky, kx]`, row-major.
pub fn conv<T: Real>(shape: &ConvShape, input: &[T], weights: &[T], finish: &Finish<'_, T>) -> Vec<T> {
    let pixels = shape.out[0] * shape.out[1];
    let mut output = vec![T::zero(); shape.batch * shape.out_c * pixels];
    if output.is_empty() {
        return output;
    }
    if shape.in_c == shape.groups {
        depthwise(shape, input, weights, finish, &mut output);
        return output;
    }
    let (in_c, out_c) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    let in_elements = in_c * shape.image[0] * shape.image[1];
    output.par_chunks_mut(out_c * pixels).enumerate().for_each(|(at, sums)| {
        let image = &input[at * in_elements..][..in_elements];
        let filters = &weights[at % shape.groups * out_c * shape.terms()..][..out_c * shape.terms()];
        one_group(shape, image, filters, finish, at * out_c * pixels, sums);
    });
    output
}

/// One input channel a group: too little for a matrix product.
fn depthwise<T: Real>(shape: &ConvShape, input: &[T], weights: &[T], finish: &Finish<'_, T>, output: &mut [T]) {
    let pixels = shape.out[0] * shape.out[1];
    let in_pixels = shape.image[0] * shape.image[1];
    let (terms, per_group) = (shape.terms(), shape.out_c / shape.groups);
    let lattice = Lattice::new(&shape.window, shape.image, shape.out);
    let each = output.par_chunks_mut(pixels).enumerate();
    each.for_each_init(
        || lattice.room(T::zero()),
        |room, (plane, sums)| {
            let (n, oc) = (plane / shape.out_c, plane % shape.out_c);
            let channel = &input[(n * shape.in_c + oc / per_group) * in_pixels..][..in_pixels];
            let filter = &weights[oc * terms..][..terms];
            let tap = |tap: usize| {
                let weight = filter[tap];
                move |sum, x| sum + weight * x
            };
            lattice.sum(room, channel, tap, sums);
            finish.apply(plane * pixels, sums);
        },
    );
}

/// The sums of a group, the first of which belongs at place `at` of the whole output.
fn one_group<T: Real>(
    shape: &ConvShape,
    image: &[T],
    filters: &[T],
    finish: &Finish<'_, T>,
    at: usize,
    sums: &mut [T],
) {
    let (terms, pixels, out_c) = (shape.terms(), shape.out[0] * shape.out[1], shape.out_c / shape.groups);
    let filters = matrix([out_c, terms], filters);
    let Split { columns, rows } = Split::of(shape);
    let mut sums = ArrayViewMut2::from_shape((out_c, pixels), sums).expect("a sum for each channel and pixel");
    sums.axis_chunks_iter_mut(Axis(1), columns).into_par_iter().enumerate().for_each(|(band, mut sums)| {
        let first = band * columns;
        let band = first..first + sums.ncols();
        let gathered;
        let patches = if shape.window == Window::pointwise() {
            matrix([terms, pixels], image).slice_move(s![.., band])
        } else {
            gathered = gather(shape, image, band.clone());
            matrix([terms, band.len()], &gathered)
        };
        let blocks = sums.axis_chunks_iter_mut(Axis(0), rows).into_par_iter();
        blocks.zip(filters.axis_chunks_iter(Axis(0), rows)).enumerate().for_each(|(block, (mut sums, filters))| {
            matmul(filters, patches, sums.view_mut(), Threads::One);
            for (row, mut sums) in sums.rows_mut().into_iter().enumerate() {
                let sums = sums.as_slice_mut().expect("a band of a row is contiguous");
                finish.apply(at + (block * rows + row) * pixels + first, sums);
            }
        });
    });
}

/// How one group's sums, output channels by pixels, are shared out among threads.
struct Split {
    /// Pixels of a band.
    columns: usize,
    /// Channels of a block.
    rows: usize,
}

impl Split {
    /// Bands that stay in cache, as many for each thread; where there are too few pixels for that, each is split over
    /// channels too.
    fn of(shape: &ConvShape) -> Self {
        let (pixels, out_c) = (shape.out[0] * shape.out[1], shape.out_c / shape.groups);
        let threads = rayon::current_num_threads();
        let columns = BAND_ELEMENTS / (shape.terms() + out_c);
        let bands = pixels.div_ceil(columns.max(1)).next_multiple_of(threads).min(pixels.div_ceil(BAND_COLUMNS));
        let tasks = bands * shape.batch * shape.groups;
        Split {
            columns: pixels.div_ceil(bands).next_multiple_of(BAND_COLUMNS / 4),
            rows: out_c.div_ceil(threads.div_ceil(tasks)),
        }
    }
}

/// The patches under a band of output pixels: a row for each term of a sum.
fn gather<T: Real>(shape: &ConvShape, image: &[T], band: Range<usize>) -> Vec<T> {
    let mut patches = vec![T::zero(); shape.terms() * band.len()];
    patches
        .par_chunks_mut(band.len())
        .enumerate()
        .for_each(|(term, row)| fill_row(shape, image, term, band.start, row));
    patches
}

/// What tap `term` sees at the output pixels from `first` on; padding stays as it was.
fn fill_row<T: Real>(shape: &ConvShape, image: &[T], term: usize, first: usize, row: &mut [T]) {
    let ([h, w], [_, out_w], window) = (shape.image, shape.out, &shape.window);
    let [k_h, k_w] = window.kernel;
    let (ic, ky, kx) = (term / (k_h * k_w), term / k_w % k_h, term % k_w);
    let channel = &image[ic * h * w..][..h * w];
    let (inside, start) = window.seen(1, kx, w, out_w);
    let mut filled = 0;
    while filled < row.len() {
        let (oy, ox) = ((first + filled) / out_w, (first + filled) % out_w);
        let run = ox..out_w.min(ox + row.len() - filled);
        let [from, to] = [inside.start, inside.end].map(|at| at.clamp(run.start, run.end));
        let [iy, _] = window.source([oy, 0], [ky, 0]);
        if from < to && (0..h as isize).contains(&iy) {
            let line = &channel[iy as usize * w..][..w];
            let seen = &line[start + (from - inside.start) * window.stride[1]..];
            copy_strided(seen, window.stride[1], &mut row[filled..][from - ox..to - ox]);
        }
        filled += run.len();
    }
}
