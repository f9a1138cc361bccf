//! Matrix products on the CPU: a safe face on the `gemm` crate.

use crate::tensor::Real;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};

/// How many threads may work on one product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling one: its caller has given each thread products of its own.
    One,
    /// All of the rayon pool, where the product is worth waking them for.
    All,
}

/// Row-major elements as a matrix.
///
/// # Panics
/// Where they are not rows times columns: a bug in the caller.
pub fn matrix<T>([rows, columns]: [usize; 2], elements: &[T]) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), elements).expect("as many elements as rows times columns")
}

/// Products of a sum that are left to the `gemm` crate. Of matrices it adds up 512 or so at a time, in registers, before they
/// join the sum; of a vector all of them in a row.
const TOGETHER: usize = 1 << 15;
/// The same where a factor is a vector.
const TOGETHER_OF_A_VECTOR: usize = 1 << 10;

/// Sums that are held in f64 while more products come, in rows of so many and as many rows as make so many sums.
const BLOCK: [usize; 2] = [1 << 12, 1 << 18];

/// `c = a b`; what `c` held is lost. Sums of many products go on in f64.
///
/// # Panics
/// Where the sizes do not fit each other: a bug in the caller.
pub fn matmul<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, mut c: ArrayViewMut2<'_, T>, threads: Threads) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert!(b.nrows() == k && c.dim() == (m, n), "{:?} by {:?} is not {:?}", a.dim(), b.dim(), c.dim());
    let together = if m == 1 || n == 1 { TOGETHER_OF_A_VECTOR } else { TOGETHER };
    if k <= together {
        return product(a, b, c, threads);
    }
    let columns = n.min(BLOCK[0]);
    let rows = (BLOCK[1] / columns.max(1)).min(m);
    for (b, mut c) in b.axis_chunks_iter(Axis(1), columns).zip(c.axis_chunks_iter_mut(Axis(1), columns)) {
        for (a, mut c) in a.axis_chunks_iter(Axis(0), rows).zip(c.axis_chunks_iter_mut(Axis(0), rows)) {
            let (mut part, mut sums) = (Array2::zeros(c.dim()), Array2::<f64>::zeros(c.dim()));
            for (a, b) in a.axis_chunks_iter(Axis(1), together).zip(b.axis_chunks_iter(Axis(0), together)) {
                product(a, b, part.view_mut(), threads);
                sums.zip_mut_with(&part, |sum, part| *sum += part.f64());
            }
            c.zip_mut_with(&sums, |c, &sum| *c = T::of(sum));
        }
    }
}

/// `c = a b` in T.
fn product<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, mut c: ArrayViewMut2<'_, T>, threads: Threads) {
    let ((m, k), n) = (a.dim(), b.ncols());
    let worth_waking = m * n * k >= 1 << 16;
    let parallelism = match threads {
        Threads::All if worth_waking => gemm::Parallelism::Rayon(0),
        _ => gemm::Parallelism::None,
    };
    let strides = |strides: &[isize]| (strides[1], strides[0]);
    let ((a_column, a_row), (b_column, b_row)) = (strides(a.strides()), strides(b.strides()));
    let (c_column, c_row) = strides(c.strides());
    // SAFETY: the assertion in `matmul`, which cuts all three alike, and the views themselves keep every access inside the three arrays; `c` is borrowed for
    // writing, and no two elements of such a view share a place.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c_column,
            c_row,
            false,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_column,
            b_row,
            T::one(),
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array, s};

    #[test]
    fn a_product_of_transposed_operands_fills_a_part_of_a_matrix() {
        let (a, b) = (array![[1.0, 3.0], [2.0, 4.0]], array![[5.0, 6.0], [7.0, 8.0]]);
        for threads in [Threads::One, Threads::All] {
            let mut c = Array2::from_elem((2, 4), 9.0);
            matmul(a.t(), b.view(), c.slice_mut(s![.., 1..3]), threads);
            assert_eq!(c, array![[9.0, 19.0, 22.0, 9.0], [9.0, 43.0, 50.0, 9.0]]);
        }
    }
}
