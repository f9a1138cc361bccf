//! What a convolution does to each sum before it stores it: bias, residual, activation, pool. A fused operator is a field
//! here, never an operator of its own.

pub(super) mod parts;

use super::batch_normalization::{BatchNormalization, PerChannel};
use super::{Activation, Inputs, OpResult, Pool, optional, required};
use crate::bound::{flush_of_products, gamma, largest};
use crate::tensor::{Real, Tensor, TensorType};
use ndarray::{ArrayD, IxDyn, Zip};

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
    /// The first of a fused BatchNormalization's four: scale, bias, mean, variance.
    pub const STATISTICS: usize = 5;
}

/// Bias and residual are the operator's inputs; these are the rest, in the order in which they are applied: bias, batch
/// normalization, residual, activation, pool.
#[derive(Debug, Clone)]
pub struct Epilogue {
    /// Applied to the sum of convolution and bias. On a device it is part of the packed filters and costs nothing.
    pub batch_norm: Option<BatchNormalization>,
    /// Applied to the sum of convolution, bias and residual.
    pub activation: Activation,
    /// Applied last.
    pub pool: Option<Pool>,
}

impl Default for Epilogue {
    fn default() -> Self {
        Epilogue { batch_norm: None, activation: Activation::Identity, pool: None }
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

    /// The whole operator, from what makes plain sums `[n, c, h, w]` of an image and filters.
    pub fn reference<T: Real>(
        &self,
        inputs: &Inputs<T>,
        sums: impl Fn(&ArrayD<T>, &ArrayD<T>) -> OpResult<ArrayD<T>>,
    ) -> OpResult<Vec<Tensor<T>>> {
        let [image, filters] = [required(inputs, slot::INPUT)?.as_real()?, required(inputs, slot::WEIGHT)?.as_real()?];
        let sums = sums(image, filters)?;
        let activated = self.activate(self.before_activation(sums, inputs)?, &slope(inputs)?);
        Ok(vec![Tensor::Real(match &self.pool {
            Some(pool) => pool.apply(&activated),
            None => activated,
        })])
    }

    fn before_activation<T: Real>(&self, mut sums: ArrayD<T>, inputs: &Inputs<T>) -> OpResult<ArrayD<T>> {
        let PerChannel { factor, offset } = self.per_channel(inputs, sums.shape()[1])?;
        if self.batch_norm.is_some() {
            sums *= &along_channels::<T>(&factor);
        }
        if offset.iter().any(|&offset| offset != 0.0) {
            sums += &along_channels::<T>(&offset);
        }
        if let Some(residual) = optional(inputs, slot::RESIDUAL) {
            sums += residual.as_real()?;
        }
        Ok(sums)
    }

    /// Bias and batch normalization in one: `factor[c] * sum + offset[c]`.
    pub(crate) fn per_channel<T: Real>(&self, inputs: &Inputs<T>, channels: usize) -> OpResult<PerChannel> {
        let wide = |slot| Ok(required(inputs, slot)?.as_real()?.mapv(T::f64)) as OpResult<ArrayD<f64>>;
        let bias = match optional(inputs, slot::BIAS) {
            Some(_) => wide(slot::BIAS)?,
            None => ArrayD::zeros(IxDyn(&[channels])),
        };
        let Some(norm) = &self.batch_norm else {
            return Ok(PerChannel { factor: vec![1.0; channels], offset: bias.iter().copied().collect() });
        };
        let [scale, shift, mean, variance] = [0, 1, 2, 3].map(|at| wide(slot::STATISTICS + at));
        let map = norm.per_channel([&scale?, &shift?, &mean?, &variance?]);
        let offset = bias.iter().zip(&map.factor).zip(&map.offset).map(|((b, f), o)| b * f + o).collect();
        Ok(PerChannel { factor: map.factor, offset })
    }

    fn activate<T: Real>(&self, mut values: ArrayD<T>, slope: &ArrayD<T>) -> ArrayD<T> {
        if self.activation != Activation::Identity {
            Zip::from(&mut values).and_broadcast(slope).par_for_each(|x, &slope| *x = self.activation.apply(*x, slope));
        }
        values
    }

    /// Carries the errors of image and residual to what is stored, and adds the rounding of plain sums of so many products
    /// and of all that follows. The magnitudes are the same sums of absolute values.
    pub fn error_bound(
        &self,
        inputs: &Inputs<f64>,
        errors: &[Option<&ArrayD<f64>>],
        terms: usize,
        sums: impl Fn(&ArrayD<f64>, &ArrayD<f64>) -> OpResult<ArrayD<f64>>,
    ) -> OpResult<ArrayD<f64>> {
        let [image, filters] = [required(inputs, slot::INPUT)?.as_real()?, required(inputs, slot::WEIGHT)?.as_real()?];
        let absolute = filters.mapv(f64::abs);
        let mut magnitudes = sums(&image.mapv(f64::abs), &absolute)?;
        let given = required(errors, slot::INPUT)?;
        // An exact image, as every one is where layers are judged on their own, carries nothing.
        let is_exact = given.iter().all(|&error| error == 0.0);
        let mut error = if is_exact { ArrayD::zeros(magnitudes.raw_dim()) } else { sums(given, &absolute)? };
        let PerChannel { factor, offset } = self.per_channel(inputs, magnitudes.shape()[1])?;
        let [factor, offset] =
            [factor, offset].map(|values| along_channels(&values.iter().map(|x| x.abs()).collect::<Vec<_>>()));
        error *= &factor;
        magnitudes = magnitudes * &factor + &offset;
        if let Some(residual) = optional(inputs, slot::RESIDUAL) {
            magnitudes += &residual.as_real()?.mapv(f64::abs);
        }
        if let Some(residual_error) = optional(errors, slot::RESIDUAL) {
            error += residual_error;
        }
        // Beside the products: a batch normalization's factor in the filters, bias and residual.
        let gamma = gamma(terms + 3);
        let flush = flush_of_products(terms + 2, [largest(image), largest(filters) * largest(&factor).max(1.0)]);
        // What is rounded is what the device was given, errors and all.
        error.zip_mut_with(&magnitudes, |error, &magnitude| *error += gamma * (magnitude + *error) + flush);
        let before = self.before_activation(sums(image, filters)?, inputs)?;
        let slope = slope(inputs)?;
        Zip::from(&mut error)
            .and(&before)
            .and_broadcast(&slope)
            .par_for_each(|error, &x, &slope| *error = self.activation.error_bound(x, slope, *error));
        match &self.pool {
            Some(pool) => Ok(pool.carry(&self.activate(before, &slope), &error)),
            None => Ok(error),
        }
    }
}

/// PRelu's slope for each channel, or a 0 that no other activation reads.
fn slope<T: Real>(inputs: &Inputs<T>) -> OpResult<ArrayD<T>> {
    let Some(slope) = optional(inputs, slot::SLOPE) else { return Ok(along_channels(&[0.0])) };
    Ok(along_channels(&slope.as_real()?.iter().map(|x| x.f64()).collect::<Vec<_>>()))
}

/// `[c]` as `[1, c, 1, 1]`, which broadcasts over an image.
fn along_channels<T: Real>(values: &[f64]) -> ArrayD<T> {
    let values: ndarray::Array1<T> = values.iter().map(|&x| T::of(x)).collect();
    let channels = values.len();
    values.into_shape_with_order((1, channels, 1, 1)).expect("as many elements").into_dyn()
}
