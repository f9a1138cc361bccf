//! Convolution on the CPU as matrix products: patches of the image become columns, filters are rows.

use super::conv::ConvShape;
use super::window::inside;
use crate::linalg::{Matrix, matmul};
use crate::tensor::Real;
use rayon::prelude::*;

/// Elements of the patch matrix at most: large enough for an efficient product, small enough to stay in cache.
const PATCH_ELEMENTS: usize = 1 << 19;

/// The plain sums `[n, oc, oy, ox]` of an input `[n, ic, iy, ix]` and weights `[oc, ic / groups, ky, kx]`, row-major.
pub fn conv<T: Real>(shape: &ConvShape, input: &[T], weights: &[T]) -> Vec<T> {
    let pixels = shape.out[0] * shape.out[1];
    let mut output = vec![T::zero(); shape.batch * shape.out_c * pixels];
    if output.is_empty() {
        return output;
    }
    if shape.in_c == shape.groups {
        depthwise(shape, input, weights, &mut output);
        return output;
    }
    let (in_c, out_c) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    let in_pixels = shape.image[0] * shape.image[1];
    for n in 0..shape.batch {
        for group in 0..shape.groups {
            let image = &input[(n * shape.in_c + group * in_c) * in_pixels..][..in_c * in_pixels];
            let filters = &weights[group * out_c * shape.terms()..][..out_c * shape.terms()];
            let sums = &mut output[(n * shape.out_c + group * out_c) * pixels..][..out_c * pixels];
            one_group(shape, image, filters, sums);
        }
    }
    output
}

fn one_group<T: Real>(shape: &ConvShape, image: &[T], filters: &[T], sums: &mut [T]) {
    let (terms, pixels) = (shape.terms(), shape.out[0] * shape.out[1]);
    let out_c = shape.out_c / shape.groups;
    let filters = Matrix { data: filters, row_stride: terms, column_stride: 1 };
    let pointwise = shape.window == super::window::Window::pointwise();
    if pointwise {
        let image = Matrix { data: image, row_stride: pixels, column_stride: 1 };
        matmul([out_c, pixels, terms], filters, image, sums, pixels, false);
        return;
    }
    let most = (PATCH_ELEMENTS / terms).clamp(1, pixels);
    let mut patches = vec![T::zero(); terms * most];
    for first in (0..pixels).step_by(most) {
        let count = most.min(pixels - first);
        let patches = &mut patches[..terms * count];
        patches.par_chunks_mut(count).enumerate().for_each(|(term, row)| fill_row(shape, image, term, first, row));
        let columns = Matrix { data: patches, row_stride: count, column_stride: 1 };
        matmul([out_c, count, terms], filters, columns, &mut sums[first..], pixels, false);
    }
}

/// One row of the patch matrix: what tap `term` sees at the output pixels from `first` on.
fn fill_row<T: Real>(shape: &ConvShape, image: &[T], term: usize, first: usize, row: &mut [T]) {
    let [k_h, k_w] = shape.window.kernel;
    let (ic, ky, kx) = (term / (k_h * k_w), term / k_w % k_h, term % k_w);
    let channel = &image[ic * shape.image[0] * shape.image[1]..];
    let out_w = shape.out[1];
    let mut filled = 0;
    while filled < row.len() {
        let (oy, ox) = ((first + filled) / out_w, (first + filled) % out_w);
        let count = (out_w - ox).min(row.len() - filled);
        let run = &mut row[filled..filled + count];
        if shape.window.stride[1] == 1 {
            copy_run(shape, channel, [oy, ox], [ky, kx], run);
        } else {
            for (x, slot) in run.iter_mut().enumerate() {
                let source = shape.window.source([oy, ox + x], [ky, kx]);
                *slot = inside(source, shape.image).map_or(T::zero(), |at| channel[at]);
            }
        }
        filled += count;
    }
}

/// With stride 1, neighbouring outputs see neighbouring pixels: one copy between two stretches of padding.
fn copy_run<T: Real>(shape: &ConvShape, channel: &[T], o: [usize; 2], k: [usize; 2], run: &mut [T]) {
    let [h, w] = shape.image;
    let [iy, ix] = shape.window.source(o, k);
    run.fill(T::zero());
    if iy < 0 || iy as usize >= h {
        return;
    }
    let before = (-ix).max(0) as usize;
    let end = (w as isize - ix).clamp(0, run.len() as isize) as usize;
    if before < end {
        let start = iy as usize * w + (ix + before as isize) as usize;
        run[before..end].copy_from_slice(&channel[start..start + end - before]);
    }
}

/// One input channel a group: too little for a matrix product. Each output row gathers its taps one after another.
fn depthwise<T: Real>(shape: &ConvShape, input: &[T], weights: &[T], output: &mut [T]) {
    let pixels = shape.out[0] * shape.out[1];
    let in_pixels = shape.image[0] * shape.image[1];
    let (terms, per_group) = (shape.terms(), shape.out_c / shape.groups);
    output.par_chunks_mut(pixels).enumerate().for_each(|(plane, sums)| {
        let (n, oc) = (plane / shape.out_c, plane % shape.out_c);
        let channel = &input[(n * shape.in_c + oc / per_group) * in_pixels..][..in_pixels];
        let filter = &weights[oc * terms..][..terms];
        for (oy, row) in sums.chunks_mut(shape.out[1]).enumerate() {
            for (tap, &weight) in filter.iter().enumerate() {
                let k = [tap / shape.window.kernel[1], tap % shape.window.kernel[1]];
                add_tap(shape, channel, oy, k, weight, row);
            }
        }
    });
}

/// `row[ox] += weight * in[iy, ix]` for the positions whose tap lies inside the image.
fn add_tap<T: Real>(shape: &ConvShape, channel: &[T], oy: usize, k: [usize; 2], weight: T, row: &mut [T]) {
    let [h, w] = shape.image;
    let [iy, ix] = shape.window.source([oy, 0], k);
    if iy < 0 || iy as usize >= h {
        return;
    }
    let line = &channel[iy as usize * w..][..w];
    let stride = shape.window.stride[1];
    let first = ((-ix).max(0) as usize).div_ceil(stride).min(row.len());
    let end = ((w as isize - ix).max(0) as usize).div_ceil(stride).min(row.len());
    if first >= end {
        return;
    }
    let start = (ix + (first * stride) as isize) as usize;
    if stride == 1 {
        for (sum, &x) in row[first..end].iter_mut().zip(&line[start..]) {
            *sum += weight * x;
        }
    } else {
        for (sum, &x) in row[first..end].iter_mut().zip(line[start..].iter().step_by(stride)) {
            *sum += weight * x;
        }
    }
}
