//! The largest or smallest elements of each row, and where they lie.

use super::{Inputs, OpResult, Operator, Restricted, invalid, required, unsupported};
use crate::bound::FLUSH;
use crate::kernels::Kernel;
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::numbers::MOST_EXACT;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use crate::uniform;
use ndarray::{ArrayD, ArrayView1, Axis};
use std::cmp::Ordering;
use std::ops::Range;

/// The first `k` elements of each row in the order of size, a row being along an axis, or where they lie. Of equal ones the
/// first comes first; NaN comes before everything. Source: ONNX, operator TopK, whose two results are two nodes here.
#[derive(Debug, Clone)]
pub struct TopK {
    /// The axis.
    pub axis: usize,
    /// How many.
    pub k: usize,
    /// Whether the smallest are looked for.
    pub least: bool,
    /// Whether their places are wanted, and not they themselves.
    pub places: bool,
}

impl TopK {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let rank = node.ty(0)?.shape.len();
        let axis = super::axis(node.int("axis", -1)?, rank)?;
        let k = match node.opset() {
            ..10 => node.int_if_present("k")?,
            _ => node.constant_ints(1)?.and_then(|k| k.first().copied()),
        };
        let k = k.and_then(|k| usize::try_from(k).ok());
        let Some(k) = k else { return invalid("k is no count") };
        let least = node.int("largest", 1)? == 0;
        // In order they are, whether that is asked for or not.
        node.flag("sorted")?;
        let x = node.input(0)?;
        for (slot, places) in [false, true].into_iter().enumerate() {
            node.define(slot, TopK { axis, k, least, places }, &[Some(x)])?;
        }
        Ok(())
    }

    /// The places of the first k elements of a row.
    fn first<E: Copy>(&self, row: ArrayView1<'_, E>, compare: impl Fn(E, E) -> Ordering) -> Vec<usize> {
        let mut order: Vec<usize> = (0..row.len()).collect();
        // A stable sort keeps the first of equal ones first.
        order.sort_by(|&a, &b| compare(row[a], row[b]));
        order.truncate(self.k);
        order
    }

    /// What is made of the first k places of each row.
    fn each<E: Copy, O: Clone + Default>(
        &self,
        source: &ArrayD<E>,
        compare: impl Fn(E, E) -> Ordering,
        take: impl Fn(ArrayView1<'_, E>, usize) -> O,
    ) -> ArrayD<O> {
        let mut shape = source.shape().to_vec();
        shape[self.axis] = self.k;
        let mut result = ArrayD::from_elem(shape, O::default());
        for (row, mut taken) in source.lanes(Axis(self.axis)).into_iter().zip(result.lanes_mut(Axis(self.axis))) {
            for (to, place) in taken.iter_mut().zip(self.first(row, &compare)) {
                *to = take(row, place);
            }
        }
        result
    }

    fn in_order<E: PartialOrd + Copy>(&self, is_nan: impl Fn(E) -> bool) -> impl Fn(E, E) -> Ordering {
        move |a, b| {
            let by_size = || if self.least { a.partial_cmp(&b) } else { b.partial_cmp(&a) };
            is_nan(b).cmp(&is_nan(a)).then_with(|| by_size().unwrap_or(Ordering::Equal))
        }
    }
}

uniform! {
    /// Parameters of `top_k`.
    pub struct TopParams { count: u32, row: u32, inner: u32, k: u32, least: u32, places: u32 }
}

/// One element an invocation.
pub static TOP_K: Kernel = Kernel {
    name: "top_k",
    source: include_str!("../../shaders/top_k.wgsl"),
    includes: &[],
    params: TopParams::FIELDS,
    combinations: || vec![vec![]],
};

impl Operator for TopK {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        let mut shape = ty.shape.clone();
        if ty.kind == Kind::Bool {
            return invalid("truth values have no order");
        }
        let row = std::mem::replace(&mut shape[self.axis], self.k);
        if self.k > row {
            return invalid(format!("{} elements of a row of {row}", self.k));
        }
        Ok(vec![TensorType { kind: if self.places { Kind::Int } else { ty.kind }, shape }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let place = |at: usize| at as i64;
        Ok(vec![match (required(inputs, 0)?, self.places) {
            (Tensor::Real(x), true) => Tensor::Int(self.each(x, self.in_order(T::is_nan), |_, at| place(at))),
            (Tensor::Int(x), true) => Tensor::Int(self.each(x, self.in_order(|_| false), |_, at| place(at))),
            (Tensor::Int(x), false) => Tensor::Int(self.each(x, self.in_order(|_| false), |row, at| row[at])),
            (Tensor::Real(x), false) => {
                // Reals have no default of their own.
                let places = self.each(x, self.in_order(T::is_nan), |_, at| at);
                let mut taken = places.mapv(|_| T::zero());
                let rows = x.lanes(Axis(self.axis)).into_iter().zip(places.lanes(Axis(self.axis)));
                for ((row, places), mut taken) in rows.zip(taken.lanes_mut(Axis(self.axis))) {
                    taken.iter_mut().zip(places).for_each(|(to, &place)| *to = row[place]);
                }
                Tensor::Real(taken)
            }
            (Tensor::Bool(_), _) => return invalid("truth values have no order"),
        }])
    }

    /// Of errors of at most e, the k-th largest is off by at most e.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let mut shape = required(inputs, 0)?.shape().to_vec();
        shape[self.axis] = self.k;
        let Some(error) = errors.first().copied().flatten().filter(|_| !self.places) else {
            return Ok(super::exact(&shape));
        };
        let largest = error.map_axis(Axis(self.axis), |row| row.iter().copied().fold(0.0, f64::max));
        let of_row = largest.insert_axis(Axis(self.axis));
        match of_row.broadcast(shape) {
            Some(all) => Ok(all.mapv(|error| error + FLUSH)),
            None => invalid("the errors have another shape"),
        }
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        (axis != self.axis).then(|| Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let shape = &required(&node.input_types(), 0)?.shape;
        let (row, inner) = (shape[self.axis], shape[self.axis + 1..].iter().product::<usize>());
        let count = shape.iter().product::<usize>() as u32;
        let most = node.limits().max_loop_iterations.min(MOST_EXACT as u32);
        if row > most as usize {
            return unsupported(format!("a row of {row} elements; the most is {most}"));
        }
        let (input, output) = (node.input(0)?, node.output(0)?);
        let [row, inner, k] = [row as u32, inner as u32, self.k as u32];
        let params = TopParams { count, row, inner, k, least: self.least.into(), places: self.places.into() };
        node.dispatch(&TOP_K, vec![], count, params, output, &[input])
    }

    fn flops(&self, inputs: &[Option<&TensorType>], _: &[TensorType]) -> u64 {
        let elements = |ty: &&TensorType| (ty.shape.iter().product::<usize>() * ty.shape[self.axis]) as u64;
        inputs.iter().flatten().map(elements).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ones_keep_their_order_and_nan_comes_first() {
        let x = Tensor::real(&[1, 5], vec![1.0f32, 3.0, f32::NAN, 3.0, -2.0]).unwrap();
        let places = |least| {
            let found = TopK { axis: 1, k: 4, least, places: true }.reference(&[Some(&x)]).unwrap().remove(0);
            found.as_int().unwrap().iter().copied().collect::<Vec<i64>>()
        };
        assert_eq!(places(false), [2, 1, 3, 0]);
        assert_eq!(places(true), [2, 4, 0, 1]);
    }
}
