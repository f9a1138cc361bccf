//! One channel under a sliding window, laid out so that every tap sees all output positions as one run of neighbours.

use super::sum::TOGETHER;
use super::window::{Window, copy_strided};
use crate::simd::vectorized;
use crate::tensor::Real;
use std::ops::Range;

/// Positions whose results stay in registers while the taps pass.
const BLOCK: usize = 32;

/// Where each tap of a window finds what it sees. The padded channel is split into grids: all pixels that lie a multiple of
/// the stride apart make one, so that neighbouring positions see neighbours in it. All grids are of one size, and results
/// lie as the elements of a grid do: what is behind the last position of a row is computed too, and thrown away.
pub struct Lattice {
    window: Window,
    image: [usize; 2],
    out: [usize; 2],
    axes: [Axis; 2],
    /// For each tap, the place of the first element it sees.
    starts: Vec<usize>,
}

/// The grids along one dimension.
struct Axis {
    /// The tap whose first element is the grid's first.
    firsts: Vec<usize>,
    /// Elements of the longest.
    len: usize,
}

/// What computing one channel after another writes to.
pub struct Room<T> {
    grids: Vec<T>,
    results: Vec<T>,
}

impl Lattice {
    /// For channels of an image and a window with so many positions on it.
    pub fn new(window: &Window, image: [usize; 2], out: [usize; 2]) -> Self {
        let ((rows, in_rows), (columns, in_columns)) = (axis(window, 0, out[0]), axis(window, 1, out[1]));
        let place = |row: [usize; 2], column: [usize; 2]| {
            let grid = row[0] * columns.firsts.len() + column[0];
            (grid * rows.len + row[1]) * columns.len + column[1]
        };
        let starts = in_rows.iter().flat_map(|&row| in_columns.iter().map(move |&column| (row, column)));
        let starts = starts.map(|(row, column)| place(row, column)).collect();
        Lattice { window: *window, image, out, axes: [rows, columns], starts }
    }

    /// Room for one channel, with what the padding holds.
    pub fn room<T: Real>(&self, padding: T) -> Room<T> {
        let [rows, columns] = &self.axes;
        let run = (self.out[0] * columns.len).next_multiple_of(BLOCK);
        let grids = rows.firsts.len() * columns.firsts.len() * rows.len * columns.len;
        // The last block may look beyond the last position.
        Room { grids: vec![padding; grids + run], results: vec![padding; run] }
    }

    /// For each position of the window, `initial` and then, tap by tap, what `tap` makes of the last result and the pixel.
    pub fn fold<T: Real, F: Fn(T, T) -> T>(
        &self,
        room: &mut Room<T>,
        channel: &[T],
        initial: T,
        tap: impl Fn(usize) -> F,
        output: &mut [T],
    ) {
        self.by_blocks(
            room,
            channel,
            output,
            #[inline(always)]
            |grids, at| self.folded(grids, at, 0..self.starts.len(), initial, &tap),
        );
    }

    /// The same of sums, from 0: however many taps there are, the sum of each few goes on in f64.
    pub fn sum<T: Real, F: Fn(T, T) -> T>(
        &self,
        room: &mut Room<T>,
        channel: &[T],
        tap: impl Fn(usize) -> F,
        output: &mut [T],
    ) {
        let taps = self.starts.len();
        if taps <= TOGETHER {
            return self.fold(room, channel, T::zero(), tap, output);
        }
        self.by_blocks(
            room,
            channel,
            output,
            #[inline(always)]
            |grids, at| {
                let mut sums = [0.0; BLOCK];
                for first in (0..taps).step_by(TOGETHER) {
                    let few = self.folded(grids, at, first..(first + TOGETHER).min(taps), T::zero(), &tap);
                    sums.iter_mut().zip(few).for_each(|(sum, x)| *sum += x.f64());
                }
                sums.map(T::of)
            },
        );
    }

    /// Hands each block of positions, by the place of the first, to what computes it.
    fn by_blocks<T: Real>(
        &self,
        room: &mut Room<T>,
        channel: &[T],
        output: &mut [T],
        compute: impl Fn(&[T], usize) -> [T; BLOCK],
    ) {
        self.fill(channel, &mut room.grids);
        vectorized(
            #[inline(always)]
            || {
                for (block, results) in room.results.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                    *results = compute(&room.grids, block * BLOCK);
                }
            },
        );
        let pitch = self.axes[1].len;
        for (row, results) in output.chunks_mut(self.out[1]).zip(room.results.chunks(pitch)) {
            row.copy_from_slice(&results[..row.len()]);
        }
    }

    /// What some of the taps make of a block of positions.
    #[inline(always)]
    fn folded<T: Real, F: Fn(T, T) -> T>(
        &self,
        grids: &[T],
        at: usize,
        taps: Range<usize>,
        initial: T,
        tap: &impl Fn(usize) -> F,
    ) -> [T; BLOCK] {
        let mut values = [initial; BLOCK];
        for (k, start) in taps.clone().zip(&self.starts[taps]) {
            let step = tap(k);
            let seen = &grids[start + at..][..BLOCK];
            for (value, &x) in values.iter_mut().zip(seen) {
                *value = step(*value, x);
            }
        }
        values
    }

    /// Copies the pixels to their places; the padding between them stays.
    fn fill<T: Real>(&self, channel: &[T], grids: &mut [T]) {
        let ([h, w], [rows, columns]) = (self.image, &self.axes);
        let [stride_h, stride_w] = self.window.stride;
        let mut grids = grids.chunks_mut(rows.len * columns.len);
        for &ky in &rows.firsts {
            let (inside_y, first_y) = self.window.seen(0, ky, h, rows.len);
            for (&kx, grid) in columns.firsts.iter().zip(&mut grids) {
                let (inside_x, first_x) = self.window.seen(1, kx, w, columns.len);
                for (turn, y) in inside_y.clone().enumerate() {
                    let line = &channel[(first_y + turn * stride_h) * w..][..w];
                    let row = &mut grid[y * columns.len..][inside_x.clone()];
                    copy_strided(&line[first_x.min(w)..], stride_w, row);
                }
            }
        }
    }
}

/// The grids of one dimension, and for each tap its grid and its place there. A tap joins a grid where the pixels that it
/// sees lie among, or right behind, those of the grid: dilation may leave gaps as large as the padding.
fn axis(window: &Window, axis: usize, out: usize) -> (Axis, Vec<[usize; 2]>) {
    let (stride, dilation) = (window.stride[axis], window.dilation[axis]);
    let mut grids: Vec<(usize, usize)> = Vec::new();
    let mut place = |tap: usize| {
        let distance = |first: usize| (tap - first) * dilation;
        let joins =
            |&(first, len): &(usize, usize)| distance(first).is_multiple_of(stride) && distance(first) / stride <= len;
        let grid = grids.iter().position(joins).unwrap_or(grids.len());
        if grid == grids.len() {
            grids.push((tap, 0));
        }
        let (first, len) = &mut grids[grid];
        let at = distance(*first) / stride;
        *len = at + out;
        [grid, at]
    };
    let places = (0..window.kernel[axis]).map(&mut place).collect();
    let len = grids.iter().map(|&(_, len)| len).max().unwrap_or(0);
    (Axis { firsts: grids.into_iter().map(|(first, _)| first).collect(), len }, places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::window::Pads;

    /// Each tap adds its pixel times a power of ten: the sum tells what every tap saw.
    #[test]
    fn each_tap_sees_what_the_window_says() {
        let image = [4, 5];
        let channel: Vec<f64> = (1..=20).map(f64::from).collect();
        let pads = Pads { top: 2, left: 1, bottom: 3, right: 4 };
        for (kernel, stride, dilation) in (1..4).flat_map(|k| (1..4).flat_map(move |s| (1..4).map(move |d| (k, s, d))))
        {
            let window =
                Window { kernel: [kernel, 4 - kernel], stride: [stride, 2], dilation: [dilation, stride], pads };
            let Ok(out) = window.output_size(image) else { continue };
            let (lattice, mut output) = (Lattice::new(&window, image, out), vec![0.0; out[0] * out[1]]);
            let mut room = lattice.room(0.0);
            for _ in 0..2 {
                lattice.fold(
                    &mut room,
                    &channel,
                    0.5,
                    |tap| move |sum, x| sum + x * 100f64.powi(tap as i32),
                    &mut output,
                );
            }
            for (at, &got) in output.iter().enumerate() {
                let taps = (0..window.kernel[0]).flat_map(|ky| (0..window.kernel[1]).map(move |kx| [ky, kx]));
                let expected = taps.enumerate().fold(0.5, |sum, (tap, k)| {
                    let [y, x] = window.source([at / out[1], at % out[1]], k);
                    let inside = (0..4).contains(&y) && (0..5).contains(&x);
                    sum + if inside { channel[(y * 5 + x) as usize] * 100f64.powi(tap as i32) } else { 0.0 }
                });
                assert_eq!(got, expected, "{window:?} at {at}");
            }
        }
    }

    /// Far taps with as much padding between them take no more room than what they see.
    #[test]
    fn dilation_beyond_the_image_takes_no_room() {
        let far = 1 << 30;
        let pads = Pads { left: far, right: far, ..Pads::default() };
        let window = Window { kernel: [1, 3], dilation: [1, far], pads, ..Window::pointwise() };
        let lattice = Lattice::new(&window, [1, 2], [1, 2]);
        let mut output = [0.0; 2];
        let mut room = lattice.room(0.0);
        lattice.fold(&mut room, &[3.0, 4.0], 0.0, |_| |sum, x| sum + x, &mut output);
        assert_eq!(output, [3.0, 4.0]);
        assert!(room.grids.len() < 100);
    }
}
