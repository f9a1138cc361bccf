//! Matrix products on the CPU: a safe face on the `gemm` crate.

use crate::tensor::Real;

/// A matrix inside a slice: element (i, j) is `data[i * rows + j * columns]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    /// Where its elements lie.
    pub data: &'a [T],
    /// Elements from one row to the next.
    pub row_stride: usize,
    /// Elements from one column to the next.
    pub column_stride: usize,
}

impl<T> Matrix<'_, T> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.data.len()
    }
}

/// `c[i * row_stride + j] (+)= sum over k of a[i, k] * b[k, j]`, for an m by k matrix `a` and a k by n matrix `b`,
/// on all threads of the rayon pool. `accumulate` adds to what `c` holds.
///
/// # Panics
/// Where a matrix does not hold the sizes given: a bug in the caller.
pub fn matmul<T: Real>(
    [m, n, k]: [usize; 3],
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    c: &mut [T],
    row_stride: usize,
    accumulate: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "an operand is smaller than its sizes");
    assert!(m == 0 || n == 0 || (m - 1) * row_stride + n <= c.len(), "the product is larger than its destination");
    assert!(row_stride >= n || m <= 1, "rows of the product overlap");
    // Small products are not worth waking the other threads for.
    let threads = if m * n * k < 1 << 16 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(0) };
    // SAFETY: the assertions above keep every access inside the three slices, and rows of `c` do not overlap.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_transposed_operands_adds_to_its_destination() {
        let a = [1.0, 3.0, 2.0, 4.0]; // [[1, 2], [3, 4]], column by column
        let b = [5.0, 6.0, 7.0, 8.0];
        let mut c = [1.0; 4];
        let a = Matrix { data: &a, row_stride: 1, column_stride: 2 };
        let b = Matrix { data: &b, row_stride: 2, column_stride: 1 };
        matmul([2, 2, 2], a, b, &mut c, 2, true);
        assert_eq!(c, [20.0, 23.0, 44.0, 51.0]);
    }
}
