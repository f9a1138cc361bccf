//! An activation that stands alone, and the kernel of every function of one element.

use super::activation::{Activation, activation_parts};
use super::strided::{FOUR_NUMBERS, NUMBER};
use super::{Inputs, OpResult, Operator, Restricted, real_type, required};
use crate::kernels::{Kernel, Part};
use crate::plan::Lowering;
use crate::plan::layout::{CHANNELS, Layout};
use crate::tensor::{Real, Tensor, TensorType, row_major};
use crate::{part, uniform};
use ndarray::{ArrayD, Zip};
use rayon::prelude::*;
use std::ops::Range;

/// Elements that are worth handing to another thread.
pub(super) const RUN: usize = 1 << 14;

/// An activation that stands alone, because nothing before it could take it in. Input 0: x.
#[derive(Debug, Clone)]
pub struct Activate {
    /// Which one; never PRelu.
    pub activation: Activation,
}

uniform! {
    /// Parameters of `activation_each`.
    pub struct ActivateParams { count: u32, activation_a: f32, activation_b: f32 }
}

/// What an invocation loads, applies an activation to, and stores: a number, or four that lie side by side.
pub(super) const ONE: [Part; 2] = [NUMBER, part!("shared", "activated_one")];
pub(super) const FOUR: [Part; 2] = [FOUR_NUMBERS, part!("shared", "activated_four")];

/// One element an invocation, or four.
pub static ACTIVATION_EACH: Kernel = Kernel {
    name: "activation_each",
    source: include_str!("../../shaders/activation_each.wgsl"),
    includes: &[],
    params: ActivateParams::FIELDS,
    combinations: || {
        let functions = super::unary::UNARY_FUNCTIONS.map(|function| vec![function.part()]);
        let functions =
            [activation_parts(), functions.to_vec(), super::cast::PARTS.map(|part| vec![part]).to_vec()].concat();
        either_behind(&functions, [&ONE, &FOUR])
    },
};

/// Each combination with either of two lists of parts behind it.
pub(super) fn either_behind(combinations: &[Vec<Part>], either: [&[Part]; 2]) -> Vec<Vec<Part>> {
    let with = |behind| combinations.iter().map(move |parts| [parts.as_slice(), behind].concat());
    either.into_iter().flat_map(with).collect()
}

/// Appends the one dispatch of a function of each element.
pub(super) fn lower_each(node: &mut Lowering<'_>, parts: Vec<Part>, [a, b]: [f32; 2], of_zero: f32) -> OpResult<()> {
    // What lies behind the last channel must stay zero.
    let whole = node.output_type(0).shape.get(1).is_some_and(|channels| channels.is_multiple_of(CHANNELS));
    let by_four = node.lies_by_four(0) && (whole || of_zero == 0.0);
    let layout = if by_four { Layout::ByFour } else { Layout::Plain };
    let (input, output) = (node.input_as(0, layout)?, node.output_as(0, layout)?);
    let count = node.count(output);
    let (element, count) = if count.is_multiple_of(4) { (FOUR, count / 4) } else { (ONE, count) };
    let params = ActivateParams { count, activation_a: a, activation_b: b };
    node.dispatch(&ACTIVATION_EACH, [parts, element.to_vec()].concat(), count, params, output, &[input])
}

impl Operator for Activate {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        Ok(vec![real_type(inputs, 0)?.clone()])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        self.consume(required(inputs, 0)?.clone(), inputs)
    }

    fn consume<T: Real>(&self, first: Tensor<T>, _: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let shape = first.shape().to_vec();
        let mut values = row_major(first.into_real()?);
        values.par_chunks_mut(RUN).for_each(|run| self.activation.apply_all(run, T::zero()));
        Ok(vec![Tensor::real(&shape, values)?])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let x = required(inputs, 0)?.as_real()?;
        let error = required(errors, 0)?;
        Ok(Zip::from(x).and(error).map_collect(|&x, &error| self.activation.error_bound(x, 0.0, error)))
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        Some(Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        lower_each(node, self.activation.parts(), self.activation.parameters(), self.activation.apply(0.0, 0.0))
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}
