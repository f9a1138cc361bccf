//! Batch normalization with the statistics of training: an affine map of each channel.

use super::activate::{FOUR, ONE, either_behind};
use super::activation::activation_parts;
use super::finish::{Channel, Finish};
use super::{
    Activation, ChannelAffine, Inputs, OpResult, Operator, Restricted, invalid, real_type, required, unsupported,
};
use crate::bound::{FLUSH, U, flushed};
use crate::kernels::Kernel;
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::layout::{CHANNELS, Layout};
use crate::tensor::{Real, Tensor, TensorType, array, row_major};
use crate::uniform;
use ndarray::{ArrayD, Zip};
use rayon::prelude::*;
use std::ops::Range;

/// `activation(after(scale[c] * (x[n, c, ..] - mean[c]) / sqrt(variance[c] + epsilon) + bias[c]))`.
///
/// Inputs: x `[n, c, ..]` or `[n]`, and scale, bias, mean, variance `[c]`. Source: ONNX, operator BatchNormalization.
#[derive(Debug, Clone)]
pub struct BatchNormalization {
    /// Added to the variance.
    pub epsilon: f32,
    /// The constants that are multiplied and added behind it.
    pub after: Option<ChannelAffine>,
    /// What is done to the result.
    pub activation: Activation,
}

impl BatchNormalization {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let epsilon = node.float("epsilon", 1e-5)?;
        // Only training reads the momentum.
        node.float("momentum", 0.9)?;
        let inference = node.opset() >= 7 || node.flag("is_test")?;
        // Before opset 14 the outputs beside the first one say so.
        if node.flag("training_mode")? || !inference || node.output_count() > 1 {
            return unsupported("it is in training mode");
        }
        if node.opset() < 9 && node.int("spatial", 1)? != 1 {
            return unsupported("spatial = 0: statistics for each element");
        }
        node.finish(BatchNormalization { epsilon, after: None, activation: Activation::Identity }, &[0, 1, 2, 3, 4])
    }

    /// The affine map that it is, activation apart, from its inputs; x is not looked at.
    pub fn map<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<ChannelAffine> {
        let of = |slot| Ok(required(inputs, slot)?.as_real()?.mapv(T::f64)) as OpResult<ArrayD<f64>>;
        let [scale, bias, mean, variance] = [of(1)?, of(2)?, of(3)?, of(4)?];
        let epsilon = f64::from(self.epsilon);
        let factor: Vec<f64> = scale.iter().zip(&variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
        let offset = bias.iter().zip(&mean).zip(&factor).map(|((b, m), f)| b - m * f).collect();
        let map = ChannelAffine { factor: factor.into(), offset };
        Ok(self.after.as_ref().map_or_else(|| map.clone(), |after| map.then(after)))
    }
}

/// Elements that share a channel and an image.
fn pixels(shape: &[usize]) -> usize {
    shape.iter().skip(2).product()
}

/// `[c]` shaped to broadcast over `[n, c, ..]`, or over `[n]`, whose one channel is not among its dimensions.
fn along_channels(values: &[f64], rank: usize) -> OpResult<ArrayD<f64>> {
    let mut shape = vec![1; rank];
    if rank > 1 {
        shape[1] = values.len();
    }
    Ok(array(&shape, values.to_vec())?)
}

uniform! {
    /// Parameters of `channel_affine`.
    pub struct AffineParams { channels: u32, inner: u32, count: u32, activation_a: f32, activation_b: f32 }
}

/// One element an invocation, or four.
pub static CHANNEL_AFFINE: Kernel = Kernel {
    name: "channel_affine",
    source: include_str!("../../shaders/channel_affine.wgsl"),
    includes: &[],
    params: AffineParams::FIELDS,
    combinations: || either_behind(&activation_parts(), [&ONE, &FOUR]),
};

impl Operator for BatchNormalization {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let x = real_type(inputs, 0)?;
        let channels = match x.shape[..] {
            [] => return invalid("its input is a scalar: it has no channels"),
            // ONNX: the one dimension is the batch, and there is 1 channel.
            [_] => 1,
            [_, channels, ..] => channels,
        };
        for slot in 1..5 {
            let ty = real_type(inputs, slot)?;
            if ty.shape != [channels] {
                return invalid(format!("input {slot} has shape {ty}, not {channels} for the channels"));
            }
        }
        Ok(vec![x.clone()])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        self.consume(required(inputs, 0)?.clone(), inputs)
    }

    fn consume<T: Real>(&self, first: Tensor<T>, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let map = self.map(inputs)?;
        let shape = first.shape().to_vec();
        let channel = |(&f, &o): (&f64, &f64)| Channel { factor: T::of(f), offset: T::of(o), slope: T::zero() };
        let channels = map.factor.iter().zip(&*map.offset).map(channel).collect();
        let pixels = pixels(&shape).max(1);
        let finish = Finish { channels, pixels, residual: None, activation: self.activation };
        let mut values = row_major(first.into_real()?);
        let planes = values.par_chunks_mut(pixels).enumerate();
        planes.for_each(|(plane, values)| finish.apply(plane * pixels, values));
        Ok(vec![Tensor::real(&shape, values)?])
    }

    /// Factor and offset are each rounded once on their way to the device, and so are the product and the sum.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let x = required(inputs, 0)?.as_real()?;
        let map = self.map(inputs)?;
        let factor = along_channels(&map.factor, x.ndim())?;
        let offset = along_channels(&map.offset, x.ndim())?;
        let bound = |&x: &f64, &error: &f64, &factor: &f64, &offset: &f64| {
            let flush = 3.0 * FLUSH + flushed(x) * factor.abs() + x.abs() * flushed(factor);
            let rounding = 3.0 * U * ((x * factor).abs() + offset.abs()) + flush;
            let carried = factor.abs() * error * (1.0 + 3.0 * U);
            self.activation.error_bound(x * factor + offset, 0.0, carried + rounding)
        };
        let error = required(errors, 0)?;
        Ok(Zip::from(x).and(error).and_broadcast(&factor).and_broadcast(&offset).map_collect(bound))
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let read = |slot| if slot == 0 { Some(axis) } else { (axis == 1).then_some(0) };
        let mut part = Restricted::along(self.clone(), inputs.len(), range, read);
        if axis == 1 {
            part.op.after = self.after.as_ref().map(|after| after.of_channels(range));
        }
        Some(part)
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let mut inputs = vec![None];
        for slot in 1..5 {
            inputs.push(Some(node.constant(slot)?.as_ref()));
        }
        let map = self.map(&inputs)?;
        let types = node.input_types();
        let inner = pixels(&real_type(&types, 0)?.shape);
        // What lies behind the last channel must stay zero.
        let whole = map.factor.len().is_multiple_of(CHANNELS) || self.activation.apply(0.0f32, 0.0) == 0.0;
        // Numbers that an invocation computes, and how many of them share a channel.
        let (layout, width, shared) = match () {
            () if whole && node.lies_by_four(0) => (Layout::ByFour, CHANNELS, 1),
            () if inner.is_multiple_of(CHANNELS) => (Layout::Plain, CHANNELS, CHANNELS),
            () => (Layout::Plain, 1, 1),
        };
        let mut packed = Vec::new();
        for values in [&*map.factor, &*map.offset] {
            packed.extend(values.iter().flat_map(|&x| std::iter::repeat_n(x as f32, shared)));
            packed.resize(packed.len().next_multiple_of(width), 0.0);
        }
        let channels = (packed.len() / 2 / width) as u32;
        let (input, output) = (node.input_as(0, layout)?, node.output_as(0, layout)?);
        let packed = node.constant_buffer("factor, offset", packed)?;
        let [activation_a, activation_b] = self.activation.parameters();
        let count = node.count(output) / width as u32;
        let params = AffineParams { channels, inner: (inner / shared) as u32, count, activation_a, activation_b };
        let element = if width == 1 { ONE } else { FOUR };
        let parts = [self.activation.parts(), element.to_vec()].concat();
        node.dispatch(&CHANNEL_AFFINE, parts, count, params, output, &[input, packed])
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| 2 * ty.shape.iter().product::<usize>() as u64).sum()
    }
}
