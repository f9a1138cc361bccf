//! An output as rows of numbers.

use reluctor::tensor::{Tensor, row_major_slice};
use std::borrow::Cow;

/// `count` rows of `width` numbers each.
pub(super) struct Rows<'a> {
    numbers: Cow<'a, [f32]>,
    pub count: usize,
    pub width: usize,
}

impl<'a> Rows<'a> {
    /// Of an output `[1, rows, width]` or `[rows, width]`, whatever number of leading ones it has; none of any other. A
    /// single dimension is a column.
    pub fn of(output: &'a Tensor) -> Option<Self> {
        let numbers = numbers(output)?;
        let shape = output.shape();
        // A batch of one and a single row look alike: [1, 4] is one row.
        let leading = shape.iter().take(shape.len().saturating_sub(2)).all(|&size| size == 1);
        let (count, width) = match shape {
            [] => (1, 1),
            [count] => (*count, 1),
            [.., count, width] if leading => (*count, *width),
            _ => return None,
        };
        Some(Rows { numbers, count, width })
    }

    /// The same of `[1, n]` as a column of n, where a batch of scores or classes has one number a row.
    pub fn column(output: &'a Tensor, count: usize) -> Option<Self> {
        let numbers = numbers(output)?;
        (numbers.len() == count).then_some(Rows { numbers, count, width: 1 })
    }

    /// One row.
    pub fn row(&self, at: usize) -> &[f32] {
        &self.numbers[at * self.width..(at + 1) * self.width]
    }

    /// Rows and columns exchanged.
    pub fn transposed(&self) -> Rows<'static> {
        let cells = (0..self.width).flat_map(|x| (0..self.count).map(move |y| y * self.width + x));
        let numbers = cells.map(|at| self.numbers[at]).collect::<Vec<f32>>();
        Rows { numbers: Cow::Owned(numbers), count: self.width, width: self.count }
    }

    /// The largest magnitude in some columns.
    pub fn largest(&self, columns: std::ops::Range<usize>) -> f32 {
        let magnitudes = (0..self.count).flat_map(|at| self.row(at)[columns.clone()].iter().map(|x| x.abs()));
        magnitudes.filter(|x| x.is_finite()).fold(0.0, f32::max)
    }

    /// Whether some columns hold numbers from 0 to 1 alone, as probabilities do.
    pub fn are_probabilities(&self, columns: std::ops::Range<usize>) -> bool {
        let within = |x: &f32| (-1e-3..=1.001).contains(x);
        (0..self.count).all(|at| self.row(at)[columns.clone()].iter().all(within))
    }
}

fn numbers(output: &Tensor) -> Option<Cow<'_, [f32]>> {
    match output {
        Tensor::Real(array) => Some(row_major_slice(array)),
        Tensor::Int(array) => Some(Cow::Owned(array.iter().map(|&x| x as f32).collect())),
        Tensor::Bool(_) => None,
    }
}

/// `1 / (1 + exp(-x))`
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
