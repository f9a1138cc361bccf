//! Matrix products: ONNX's Gemm and MatMul.

mod tile;

pub use tile::MATMUL_TILE;

use super::conv::rows::Rows;
use super::strided::{Dims, broadcast, broadcast_strides};
use super::{Activation, Inputs, OpResult, Operator, Restricted, invalid, optional, real_type, required, unsupported};
use crate::bound::{flush_of_products, gamma, largest};
use crate::kernels::{Kernel, Part};
use crate::linalg::{Threads, matmul};
use crate::onnx::OnnxNode;
use crate::plan::{Lowering, Packing, View};
use crate::tensor::{Real, Tensor, TensorType, array, row_major, row_major_slice};
use crate::{part, uniform};
use ndarray::{ArrayD, ArrayView2, ArrayViewMut2, IxDyn, ShapeBuilder, Zip};
use std::ops::Range;

/// `activation(alpha * a * b + beta * c)` for each pair of matrices in the batches, which broadcast.
///
/// Inputs: a `[.., m, k]`, b `[.., k, n]`, each stored transposed where its flag says so, and c, which broadcasts to
/// `[m, n]`; optional. Source: ONNX, operators Gemm and MatMul.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct MatMul {
    pub transpose_a: bool,
    pub transpose_b: bool,
    pub alpha: f32,
    pub beta: f32,
    pub activation: Activation,
}

/// Input slots.
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// All sizes of one product.
struct Sizes {
    batch: Vec<usize>,
    m: usize,
    n: usize,
    k: usize,
    a_batch: Vec<usize>,
    b_batch: Vec<usize>,
    /// Elements from one row, and from one column, to the next.
    a_strides: [usize; 2],
    b_strides: [usize; 2],
}

impl MatMul {
    pub(super) fn plain() -> Self {
        let activation = Activation::Identity;
        MatMul { transpose_a: false, transpose_b: false, alpha: 1.0, beta: 1.0, activation }
    }

    pub(crate) fn import_gemm(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let op = MatMul {
            transpose_a: node.flag("transA")?,
            transpose_b: node.flag("transB")?,
            alpha: node.float("alpha", 1.0)?,
            beta: node.float("beta", 1.0)?,
            activation: Activation::Identity,
        };
        if node.opset() < 7 {
            node.flag("broadcast")?;
        }
        if [node.ty(A)?, node.ty(B)?].iter().any(|ty| ty.shape.len() != 2) {
            return invalid("both operands of Gemm must be matrices");
        }
        node.finish(op, &[A, B, C])
    }

    /// `MatMul`: an operand of rank 1 is a row on the left and a column on the right; the result loses that dimension.
    pub(crate) fn import_matmul(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let (a_shape, b_shape) = (node.ty(A)?.shape.clone(), node.ty(B)?.shape.clone());
        let (mut a, mut b) = (node.input(A)?, node.input(B)?);
        if a_shape.is_empty() || b_shape.is_empty() {
            return invalid("an operand is a scalar");
        }
        if let [k] = a_shape[..] {
            a = node.emit(super::Reshape { shape: vec![1, k] }, &[Some(a)])?;
        }
        if let [k] = b_shape[..] {
            b = node.emit(super::Reshape { shape: vec![k, 1] }, &[Some(b)])?;
        }
        if a_shape.len() > 1 && b_shape.len() > 1 {
            return node.finish_with(MatMul::plain(), &[Some(a), Some(b)]);
        }
        let product = node.emit(MatMul::plain(), &[Some(a), Some(b)])?;
        let mut shape = node.type_of(product).shape.clone();
        if b_shape.len() == 1 {
            shape.pop();
        }
        if a_shape.len() == 1 {
            shape.remove(shape.len() - if b_shape.len() == 1 { 1 } else { 2 });
        }
        node.finish_with(super::Reshape { shape }, &[Some(product)])
    }

    fn sizes(&self, inputs: &[Option<&TensorType>]) -> OpResult<Sizes> {
        let (a, b) = (real_type(inputs, A)?, real_type(inputs, B)?);
        let ([.., a_rows, a_columns], [.., b_rows, b_columns]) = (&a.shape[..], &b.shape[..]) else {
            return invalid(format!("{a} and {b} are not matrices"));
        };
        let (m, k, a_strides) = oriented(*a_rows, *a_columns, self.transpose_a);
        let (b_k, n, b_strides) = oriented(*b_rows, *b_columns, self.transpose_b);
        let (a_batch, b_batch) = (a.shape[..a.shape.len() - 2].to_vec(), b.shape[..b.shape.len() - 2].to_vec());
        match broadcast(&a_batch, &b_batch) {
            Some(batch) if b_k == k => Ok(Sizes { batch, m, n, k, a_batch, b_batch, a_strides, b_strides }),
            _ => invalid(format!("{a} and {b} do not fit as factors of a product")),
        }
    }

    fn sizes_of<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Sizes> {
        let types: Vec<_> = inputs.iter().map(|input| input.map(Tensor::tensor_type)).collect();
        self.sizes(&types.iter().map(Option::as_ref).collect::<Vec<_>>())
    }
}

/// Rows, columns and strides of a matrix stored row-major, or of its transpose.
fn oriented(rows: usize, columns: usize, transposed: bool) -> (usize, usize, [usize; 2]) {
    if transposed { (columns, rows, [1, columns]) } else { (rows, columns, [columns, 1]) }
}

/// The matrix at the beginning of some elements.
fn strided<T>(elements: &[T], [rows, columns]: [usize; 2], [row, column]: [usize; 2]) -> ArrayView2<'_, T> {
    let shape = (rows, columns).strides((row, column));
    ArrayView2::from_shape(shape, &elements[..rows * columns]).expect("strides of a matrix or of its transpose")
}

impl Sizes {
    fn shape(&self) -> Vec<usize> {
        [&self.batch[..], &[self.m, self.n]].concat()
    }

    /// The plain products of every pair of matrices.
    fn product<T: Real>(&self, a: &ArrayD<T>, b: &ArrayD<T>) -> OpResult<ArrayD<T>> {
        let (a, b) = (row_major_slice(a), row_major_slice(b));
        let mut output = vec![T::zero(); self.shape().iter().product()];
        let starts = |own: &[usize], elements: usize| -> Vec<usize> {
            let strides = broadcast_strides(own, &self.batch);
            ndarray::indices(IxDyn(&self.batch))
                .into_iter()
                .map(|at| (0..strides.len()).map(|axis| at[axis] * strides[axis] as usize).sum::<usize>() * elements)
                .collect()
        };
        let pairs = starts(&self.a_batch, self.m * self.k).into_iter().zip(starts(&self.b_batch, self.k * self.n));
        // A sum of no products is 0 already.
        if !output.is_empty() && self.k > 0 {
            for ((a_start, b_start), c) in pairs.zip(output.chunks_mut(self.m * self.n)) {
                let a = strided(&a[a_start..], [self.m, self.k], self.a_strides);
                let b = strided(&b[b_start..], [self.k, self.n], self.b_strides);
                let c = ArrayViewMut2::from_shape((self.m, self.n), c).expect("a chunk is a matrix");
                matmul(a, b, c, Threads::All);
            }
        }
        Ok(array(&self.shape(), output)?)
    }
}

uniform! {
    /// Parameters of `matmul_direct`. Batches are broadcast by strides, in matrices' elements.
    pub struct MatMulParams {
        batch_shape: [[u32; 4]; 2], a_batch_strides: [[u32; 4]; 2], b_batch_strides: [[u32; 4]; 2],
        m: u32, n: u32, first_n: u32, count_n: u32, k_begin: u32, k_end: u32,
        a_row: u32, a_column: u32, b_row: u32, b_column: u32, c_row: u32, c_column: u32,
        alpha: f32, beta: f32, is_first: u32, is_last: u32, activation_a: f32, activation_b: f32, count: u32,
    }
}

/// One element of the product an invocation.
pub static MATMUL_DIRECT: Kernel = Kernel {
    name: "matmul_direct",
    source: include_str!("../../shaders/matmul_direct.wgsl"),
    includes: &[],
    params: MatMulParams::FIELDS,
    combinations,
};

const ADDEND: Part = part!("shared", "addend");
const ADDEND_NONE: Part = part!("shared", "addend_none");

/// Every activation, with and without an addend.
fn combinations() -> Vec<Vec<Part>> {
    let activations = super::activation::activation_parts();
    let with = |addend| activations.iter().map(move |parts| [parts.as_slice(), &[addend]].concat()).collect::<Vec<_>>();
    [ADDEND_NONE, ADDEND].into_iter().flat_map(with).collect()
}

impl Operator for MatMul {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let sizes = self.sizes(inputs)?;
        if let Some(c) = optional(inputs, C)
            && broadcast(&c.shape, &[sizes.m, sizes.n]).as_deref() != Some(&[sizes.m, sizes.n])
        {
            return invalid(format!("{c} does not broadcast to {}x{}", sizes.m, sizes.n));
        }
        Ok(vec![TensorType::real(sizes.shape())])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let sizes = self.sizes_of(inputs)?;
        let product = sizes.product(required(inputs, A)?.as_real()?, required(inputs, B)?.as_real()?)?;
        let [alpha, beta] = [self.alpha, self.beta].map(|x| T::of(f64::from(x)));
        let mut sum = product;
        if alpha != T::one() {
            sum.mapv_inplace(|x| alpha * x);
        }
        if let Some(c) = optional(inputs, C) {
            sum += &c.as_real()?.mapv(|c| beta * c);
        }
        let mut values = row_major(sum);
        self.activation.apply_all(&mut values, T::zero());
        Ok(vec![Tensor::real(&sizes.shape(), values)?])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let sizes = self.sizes_of(inputs)?;
        let (a, b) = (required(inputs, A)?.as_real()?, required(inputs, B)?.as_real()?);
        let (error_a, error_b) = (required(errors, A)?, required(errors, B)?);
        let [abs_a, abs_b] = [a, b].map(|x| x.mapv(f64::abs));
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        let carried = sizes.product(error_a, &(&abs_b + error_b))? + sizes.product(&abs_a, error_b)?;
        let mut magnitude = sizes.product(&abs_a, &abs_b)? * alpha.abs();
        let mut error = carried * alpha.abs();
        let mut sum = sizes.product(a, b)? * alpha;
        if let Some(c) = optional(inputs, C) {
            let c = c.as_real()?;
            sum += &(c * beta);
            magnitude += &c.mapv(|c| (c * beta).abs());
            if let Some(error_c) = optional(errors, C) {
                error += &(error_c * beta.abs());
            }
        }
        // Beside the k products: alpha, beta and the addition.
        let gamma = gamma(sizes.k + 3);
        let flush = flush_of_products(sizes.k + 2, [largest(a), largest(b)]) * alpha.abs().max(beta.abs()).max(1.0);
        Zip::from(&mut error).and(&sum).and(&magnitude).for_each(|error, &x, &magnitude| {
            *error = self.activation.error_bound(x, 0.0, *error + gamma * (magnitude + *error) + flush);
        });
        Ok(error)
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let Sizes { batch, a_batch, b_batch, .. } = self.sizes(inputs).ok()?;
        let Some(side) = axis.checked_sub(batch.len()) else {
            let own = |sizes: &[usize]| (axis + sizes.len()).checked_sub(batch.len()).filter(|&own| sizes[own] != 1);
            let read = |slot| match slot {
                A => own(&a_batch),
                B => own(&b_batch),
                _ => None,
            };
            return Some(Restricted::along(self.clone(), inputs.len(), range, read));
        };
        let rows_first =
            |slot: usize, is_transposed: bool| inputs[slot].map(|ty| ty.shape.len() - 2 + usize::from(is_transposed));
        // Of an addend, the last two axes are broadcast to those of the product.
        let of_addend = || {
            let shape = &inputs.get(C).copied().flatten()?.shape;
            let own = (shape.len() + side).checked_sub(2)?;
            (shape[own] != 1).then_some(own)
        };
        let read = |slot| match (slot, side) {
            (A, 0) => rows_first(A, self.transpose_a),
            (B, 1) => rows_first(B, !self.transpose_b),
            (C, _) => of_addend(),
            _ => None,
        };
        Some(Restricted::along(self.clone(), inputs.len(), range, read))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let types = node.input_types();
        let sizes = self.sizes(&types)?;
        if node.constant(B).is_ok()
            && tile::fits(&sizes, node)
            && let Some((rows, constants)) = self.as_convolution(node, &sizes)?
        {
            let views = [node.input(A)?, node.output(0)?];
            return rows.lower(node, constants, self.activation, views);
        }
        let mut addend = None;
        if let Some(c) = optional(&types, C) {
            let strides = broadcast_strides(&c.shape, &[sizes.m, sizes.n]);
            addend = Some((node.input(C)?, [strides[0] as u32, strides[1] as u32]));
        }
        if node.constant(B).is_ok() && tile::fits(&sizes, node) {
            return tile::lower(self, node, &sizes, addend);
        }
        let (a, output) = (node.input(A)?, node.output(0)?);
        let mut params = self.params(&sizes)?;
        [params.c_row, params.c_column] = addend.map_or([0, 0], |(_, strides)| strides);
        let addend = addend.map(|(view, _)| view);
        let constant_b = if sizes.b_batch.is_empty() { node.constant(B).ok().cloned() } else { None };
        let Some(b) = constant_b else {
            let b = node.input(B)?;
            return self.slices(node, params, output, [Some(a), Some(b), addend]);
        };
        // A constant factor is stored column after column, so that a part of its columns is one range of a buffer.
        let columns = sizes.columns(&row_major_slice(b.as_real()?));
        [params.b_row, params.b_column] = [1, sizes.k as u32];
        let results = params.count as usize / sizes.n.max(1);
        for range in node.channel_ranges(sizes.n, sizes.k, results, Packing::Each.width()) {
            let packed =
                node.constant_buffer("columns", columns[range.start * sizes.k..range.end * sizes.k].to_vec())?;
            let (first_n, count_n) = (range.start as u32, range.len() as u32);
            let count = params.count / params.n.max(1) * count_n;
            let params = MatMulParams { first_n, count_n, count, ..params };
            self.slices(node, params, output, [Some(a), Some(packed), addend])?;
        }
        Ok(())
    }

    fn flops(&self, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        let k = self.sizes(inputs).map_or(0, |sizes| sizes.k);
        outputs.iter().map(|ty| 2 * (ty.shape.iter().product::<usize>() * k) as u64).sum()
    }
}

impl Sizes {
    fn columns(&self, b: &[f32]) -> Vec<f32> {
        let [row, column] = self.b_strides;
        (0..self.n).flat_map(|j| (0..self.k).map(move |i| b[i * row + j * column])).collect()
    }
}

impl MatMul {
    /// The product as a 1x1 convolution, with its filters and biases, where it is faster so and the addend is one for each column.
    fn as_convolution(&self, node: &Lowering<'_>, sizes: &Sizes) -> OpResult<Option<(Rows, [Vec<f32>; 2])>> {
        let rows = sizes.batch.iter().product::<usize>() * sizes.m;
        let plain = self.alpha == 1.0 && self.beta == 1.0;
        let Some(rows) = Rows::of([rows, sizes.k, sizes.n], node.limits()).filter(|_| plain) else { return Ok(None) };
        let bias = match (node.has_input(C), node.constant(C)) {
            (false, _) => vec![0.0; sizes.n],
            (true, Ok(c)) => {
                let c = c.as_real()?;
                let strides = broadcast_strides(c.shape(), &[sizes.m, sizes.n]);
                if strides[0] != 0 && sizes.m > 1 {
                    return Ok(None);
                }
                let numbers = row_major_slice(c);
                (0..sizes.n).map(|column| numbers[column * strides[1] as usize]).collect()
            }
            (true, Err(_)) => return Ok(None),
        };
        let columns = sizes.columns(&row_major_slice(node.constant(B)?.as_real()?));
        Ok(Some((rows, [columns, bias])))
    }

    fn parts(&self, has_addend: bool) -> Vec<Part> {
        [self.activation.parts(), vec![if has_addend { ADDEND } else { ADDEND_NONE }]].concat()
    }

    fn params(&self, sizes: &Sizes) -> OpResult<MatMulParams> {
        let matrices = |own: &[usize], elements: usize| -> Vec<isize> {
            broadcast_strides(own, &sizes.batch).iter().map(|stride| stride * elements as isize).collect()
        };
        let (a, b) = (matrices(&sizes.a_batch, sizes.m * sizes.k), matrices(&sizes.b_batch, sizes.k * sizes.n));
        let batch = Dims::merged(&sizes.batch, &[&a, &b])?;
        let [activation_a, activation_b] = self.activation.parameters();
        Ok(MatMulParams {
            batch_shape: batch.shape(),
            a_batch_strides: batch.unsigned_strides(0),
            b_batch_strides: batch.unsigned_strides(1),
            m: sizes.m as u32,
            n: sizes.n as u32,
            first_n: 0,
            count_n: sizes.n as u32,
            k_begin: 0,
            k_end: sizes.k as u32,
            a_row: sizes.a_strides[0] as u32,
            a_column: sizes.a_strides[1] as u32,
            b_row: sizes.b_strides[0] as u32,
            b_column: sizes.b_strides[1] as u32,
            c_row: 0,
            c_column: 0,
            alpha: self.alpha,
            beta: self.beta,
            is_first: 1,
            is_last: 1,
            activation_a,
            activation_b,
            count: sizes.shape().iter().product::<usize>() as u32,
        })
    }

    /// One dispatch for each range of k that an invocation may loop over; sums wait in the output in between.
    fn slices(
        &self,
        node: &mut Lowering<'_>,
        params: MatMulParams,
        output: View,
        [a, b, addend]: [Option<View>; 3],
    ) -> OpResult<()> {
        if params.batch_shape.as_flattened().contains(&0) {
            return unsupported("an empty batch");
        }
        let parts = self.parts(addend.is_some());
        let views: Vec<View> = [a, b, addend].into_iter().flatten().collect();
        let (most, k) =
            (node.limits().max_loop_iterations.saturating_sub(super::strided::MAX_RANK as u32).max(1), params.k_end);
        for k_begin in (0..k.max(1)).step_by(most as usize) {
            let k_end = k_begin.saturating_add(most).min(k);
            let (is_first, is_last) = (u32::from(k_begin == 0), u32::from(k_end == k));
            let slice = MatMulParams { k_begin, k_end, is_first, is_last, ..params };
            node.dispatch(&MATMUL_DIRECT, parts.clone(), params.count, slice, output, &views)?;
        }
        Ok(())
    }
}
