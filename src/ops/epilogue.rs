//! What a convolution does to each sum before it stores it: bias, residual, activation, pool. A fused operator is a field
//! here, never an operator of its own.

pub(super) mod parts;

use super::finish::{Channel, Finish};
use super::{Activation, ChannelAffine, Inputs, OpResult, Pool, Problem, optional, required};
use crate::bound::{flush_of_products, gamma, largest};
use crate::tensor::{Real, Tensor, TensorType, array, row_major_slice};
use ndarray::ArrayD;
use rayon::prelude::*;
use std::borrow::Cow;

/// Input slots of the operators with an epilogue.
pub mod slot {
    /// The image, `[n, c, h, w]`.
    pub const INPUT: usize = 0;
    /// The filters.
    pub const WEIGHT: usize = 1;
    /// One number for each output channel; optional.
    pub const BIAS: usize = 2;
    /// Added before the activation, of the unpooled output's shape; optional.
    pub const RESIDUAL: usize = 3;
    /// PRelu's slope for each output channel.
    pub const SLOPE: usize = 4;
}

/// Bias and residual are the operator's inputs; these are the rest, in the order in which they are applied: bias, affine map,
/// residual, activation, pool.
#[derive(Debug, Clone)]
pub struct Epilogue {
    /// Applied to the sum of convolution and bias: a batch normalization, constants for each channel. On a device it is part of
    /// the packed filters and costs nothing.
    pub affine: Option<ChannelAffine>,
    /// Applied to the sum of convolution, bias and residual.
    pub activation: Activation,
    /// Applied last.
    pub pool: Option<Pool>,
}

impl Default for Epilogue {
    fn default() -> Self {
        Epilogue { affine: None, activation: Activation::Identity, pool: None }
    }
}

impl Epilogue {
    /// Checks the optional inputs against the unpooled shape and returns the shape that is stored.
    pub fn infer(&self, sums: [usize; 4], inputs: &[Option<&TensorType>]) -> OpResult<TensorType> {
        let channels = sums[1];
        if let Some(bias) = optional(inputs, slot::BIAS)
            && bias.shape != [channels]
        {
            return super::invalid(format!("bias has shape {bias}, not {channels} for the output channels"));
        }
        if let Some(affine) = &self.affine
            && [affine.factor.len(), affine.offset.len()] != [channels; 2]
        {
            return super::invalid(format!("{affine:?} channels, not {channels} as the output"));
        }
        if let Some(residual) = optional(inputs, slot::RESIDUAL)
            && residual.shape != sums
        {
            return super::invalid(format!("residual has shape {residual}, not the output's"));
        }
        if let Some(slope) = optional(inputs, slot::SLOPE)
            && slope.shape != [channels]
        {
            return super::invalid(format!("slope has shape {slope}, not {channels} for the output channels"));
        }
        let stored = match &self.pool {
            Some(pool) => pool.output_shape(sums)?,
            None => sums,
        };
        Ok(TensorType::real(stored.to_vec()))
    }

    /// The whole operator, from what makes finished sums of a shape `[n, c, h, w]` of an image and filters, all row-major.
    pub fn reference<T: Real>(
        &self,
        inputs: &Inputs<T>,
        shape: [usize; 4],
        sums: impl Fn(&[T], &[T], &Finish<'_, T>) -> Vec<T>,
    ) -> OpResult<Vec<Tensor<T>>> {
        let [image, filters] = [required(inputs, slot::INPUT)?.as_real()?, required(inputs, slot::WEIGHT)?.as_real()?];
        let residual = residual(inputs)?;
        let finish = self.finish(inputs, shape, residual.as_deref())?;
        let finished = array(&shape, sums(&row_major_slice(image), &row_major_slice(filters), &finish))?;
        Ok(vec![Tensor::Real(match &self.pool {
            Some(pool) => pool.apply(&finished),
            None => finished,
        })])
    }

    fn finish<'a, T: Real>(
        &self,
        inputs: &Inputs<T>,
        [_, channels, h, w]: [usize; 4],
        residual: Option<&'a [T]>,
    ) -> OpResult<Finish<'a, T>> {
        let ChannelAffine { factor, offset } = self.per_channel(inputs, channels)?;
        let slope = match optional(inputs, slot::SLOPE) {
            Some(slope) => slope.as_real()?.iter().copied().collect(),
            None => vec![T::zero(); channels],
        };
        let channels = factor.iter().zip(&*offset).zip(slope);
        let channels =
            channels.map(|((&f, &o), slope)| Channel { factor: T::of(f), offset: T::of(o), slope }).collect();
        Ok(Finish { channels, pixels: h * w, residual, activation: self.activation })
    }

    /// Bias and affine map in one: `factor[c] * sum + offset[c]`.
    pub(crate) fn per_channel<T: Real>(&self, inputs: &Inputs<T>, channels: usize) -> OpResult<ChannelAffine> {
        let bias = match optional(inputs, slot::BIAS) {
            Some(bias) => ChannelAffine::shift(bias.as_real()?.iter().map(|x| x.f64())),
            None => ChannelAffine::shift(vec![0.0; channels]),
        };
        Ok(self.affine.as_ref().map_or_else(|| bias.clone(), |affine| bias.then(affine)))
    }

    /// The epilogue of a range of the output's channels.
    pub(super) fn of_channels(&self, range: &std::ops::Range<usize>) -> Epilogue {
        let affine = self.affine.as_ref().map(|affine| affine.of_channels(range));
        Epilogue { affine, ..self.clone() }
    }

    /// Carries the errors of image and residual to what is stored, and adds the rounding of the sums and of all that follows.
    pub(super) fn error_bound(
        &self,
        inputs: &Inputs<f64>,
        errors: &[Option<&ArrayD<f64>>],
        shape: [usize; 4],
        sums: impl Sums,
        rounding: Rounding<impl Sums>,
    ) -> OpResult<ArrayD<f64>> {
        let [image, filters] =
            [slot::INPUT, slot::WEIGHT].map(|slot| required(inputs, slot)?.as_real().map_err(Problem::from));
        let [image, filters] = [row_major_slice(image?), row_major_slice(filters?)];
        let absolute_filters = absolute(&filters);
        let residual = residual(inputs)?;
        let finish = self.finish(inputs, shape, residual.as_deref())?;
        let absolute_residual = residual.as_deref().map(absolute);
        let magnitudes = (rounding.magnitudes)(&image, &filters, &finish.of_magnitudes(absolute_residual.as_deref()));
        let given = row_major_slice(required(errors, slot::INPUT)?);
        // An exact image, as every one is where layers are judged on their own, carries nothing.
        let is_exact = given.iter().all(|&error| error == 0.0);
        let mut error =
            if is_exact { vec![0.0; magnitudes.len()] } else { sums(&given, &absolute_filters, &finish.of_errors()) };
        if let Some(residual_error) = optional(errors, slot::RESIDUAL) {
            error.iter_mut().zip(residual_error).for_each(|(error, more)| *error += more);
        }
        // Beside the products: an affine map's factor in the filters, bias and residual.
        let gamma = gamma(rounding.each + 3);
        let factor = largest(finish.channels.iter().map(|channel| &channel.factor)).max(1.0);
        let flush = flush_of_products(rounding.flushes + 2, [largest(image.iter()), largest(filters.iter()) * factor]);
        let mut values = sums(&image, &filters, &finish.before_activation());
        let planes = error.par_chunks_mut(finish.pixels.max(1)).zip(magnitudes.par_chunks(finish.pixels.max(1)));
        planes.zip(values.par_chunks_mut(finish.pixels.max(1))).enumerate().for_each(
            |(plane, ((error, magnitudes), values))| {
                let at = plane * finish.pixels;
                let slope = finish.channel(at).slope;
                for ((error, &magnitude), &x) in error.iter_mut().zip(magnitudes).zip(&*values) {
                    // What is rounded is what the device was given, errors and all.
                    let before = *error + gamma * (magnitude + *error) + flush;
                    *error = self.activation.error_bound(x, slope, before);
                }
                finish.activate(at, values);
            },
        );
        let error = array(&shape, error)?;
        match &self.pool {
            Some(pool) => Ok(pool.carry(&array(&shape, values)?, &error)),
            None => Ok(error),
        }
    }
}

fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|x| x.abs()).collect()
}

/// Makes finished sums of a convolution, all row-major: of an image and filters.
pub(super) trait Sums: Fn(&[f64], &[f64], &Finish<'_, f64>) -> Vec<f64> {}

impl<F: Fn(&[f64], &[f64], &Finish<'_, f64>) -> Vec<f64>> Sums for F {}

/// How sums round.
pub(super) struct Rounding<M> {
    /// Roundings that each product takes part in, at most.
    pub each: usize,
    /// Products and partial sums that may be flushed to zero, each counted as often as what follows makes it larger.
    pub flushes: usize,
    /// How large the terms of the finished sums can be, of an image and filters.
    pub magnitudes: M,
}

/// Plain sums of so many products: the magnitudes are the same sums of absolute values.
pub(super) fn rounding_of_products(terms: usize, sums: impl Sums) -> Rounding<impl Sums> {
    let magnitudes = move |image: &[f64], filters: &[f64], finish: &Finish<'_, f64>| {
        sums(&absolute(image), &absolute(filters), finish)
    };
    Rounding { each: terms, flushes: terms, magnitudes }
}

/// The residual's elements, where there is one.
fn residual<'a, T: Real>(inputs: &Inputs<'a, T>) -> OpResult<Option<Cow<'a, [T]>>> {
    optional(inputs, slot::RESIDUAL).map(|residual| Ok(row_major_slice(residual.as_real()?))).transpose()
}
