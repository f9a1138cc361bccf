//! What a convolution does to each sum before it stores it: bias, residual, activation, pool. A fused operator is a field
//! here, never an operator of its own.

use super::batch_normalization::{BatchNormalization, PerChannel};
use super::{Activation, Inputs, OpResult, Pool, activation::ACTIVATIONS, optional, required};
use crate::bound::{flush_of_products, gamma, largest};
use crate::kernels::Part;
use crate::part;
use crate::plan::{Layout, Lowering, View};
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

    /// The parts that finish and store an element, and the bindings that they read after the kernel's own.
    pub(super) fn parts(&self, node: &mut Lowering<'_>) -> OpResult<(Vec<Part>, Vec<View>)> {
        let mut parts = self.activation.parts();
        parts.push(if self.activation == Activation::PRelu { SLOPE_CHANNEL } else { SLOPE_UNIFORM });
        let residual = if node.has_input(slot::RESIDUAL) { Some(node.input(slot::RESIDUAL)?) } else { None };
        parts.push(if residual.is_some() { RESIDUAL_ADD } else { RESIDUAL_NONE });
        parts.push(self.pool.as_ref().map_or(STORE_EACH, Pool::store));
        Ok((parts, residual.into_iter().collect()))
    }

    /// The same for images that lie by four channels; the pool, where there is one, is a dispatch of its own.
    pub(super) fn by_four_parts(&self, node: &mut Lowering<'_>) -> OpResult<(Vec<Part>, Vec<View>)> {
        let residual = match node.has_input(slot::RESIDUAL) {
            true => Some(node.input_as(slot::RESIDUAL, Layout::ByFour)?),
            false => None,
        };
        Ok((by_four_parts(&self.activation, residual.is_some()), residual.into_iter().collect()))
    }
}

/// The parts that finish four channels of a pixel.
pub(super) fn by_four_parts(activation: &Activation, residual: bool) -> Vec<Part> {
    let slopes = if *activation == Activation::PRelu { SLOPES_CHANNEL } else { SLOPES_UNIFORM };
    let residuals = if residual { RESIDUALS_ADD } else { RESIDUALS_NONE };
    activation.parts().into_iter().chain([slopes, residuals]).collect()
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

/// What the convolutions' kernels are linked with: parameters, and how filters are packed.
pub(super) const INCLUDES_EACH: [Part; 5] = [
    super::pool::POOL_PARAMS,
    super::pool::PLACE,
    part!("shared", "conv_params"),
    part!("shared", "conv_plain"),
    part!("shared", "filters_each"),
];
/// The same with filters packed four channels at a time.
pub(super) const INCLUDES_TILE: [Part; 4] = [
    super::pool::POOL_PARAMS,
    part!("shared", "conv_params"),
    part!("shared", "conv_plain"),
    part!("shared", "filters_by_four"),
];
/// The same for images that lie by four channels.
pub(super) const INCLUDES_BY_FOUR: [Part; 3] =
    [super::pool::POOL_PARAMS, part!("shared", "conv_params"), part!("shared", "conv_by_four")];
const SLOPE_UNIFORM: Part = part!("shared", "slope_uniform");
const SLOPE_CHANNEL: Part = part!("shared", "slope_channel");
const SLOPES_UNIFORM: Part = part!("shared", "slopes_uniform");
const SLOPES_CHANNEL: Part = part!("shared", "slopes_channel");
const RESIDUALS_NONE: Part = part!("shared", "residuals_none");
const RESIDUALS_ADD: Part = part!("shared", "residuals_add");
const RESIDUAL_NONE: Part = part!("shared", "residual_none");
const RESIDUAL_ADD: Part = part!("shared", "residual_add");
/// Every position of the convolution is stored.
pub(super) const STORE_EACH: Part = part!("shared", "store_each");

/// A range of input channels, but not the last one, was summed.
const STORE_PARTIAL: Part = part!("shared", "store_partial");
/// The last range of input channels was summed.
pub(super) const STORE_REST: Part = part!("shared", "store_rest");

/// A sum that is not complete yet: nothing of the epilogue applies to it.
pub(super) fn partial() -> Vec<Part> {
    let nothing = Activation::Identity.parts().into_iter();
    nothing.chain([SLOPE_UNIFORM, RESIDUAL_NONE, STORE_PARTIAL]).collect()
}

/// Everything an epilogue can be, and sums split over several dispatches.
pub(super) fn splittable_combinations() -> Vec<Vec<Part>> {
    let mut all = combinations();
    let plain = all.iter().filter(|parts| parts.last().is_some_and(|part| part.name == STORE_EACH.name));
    let rests: Vec<_> = plain.map(|parts| [&parts[..parts.len() - 1], &[STORE_REST]].concat()).collect();
    all.extend(rests);
    all.push(partial());
    all
}

/// How a kernel that computes tiles stores them.
const TILE_STORE_EACH: Part = part!("shared", "tile_store_each");
const TILE_POOL: Part = part!("shared", "tile_pool");
pub(super) const TILE_MAX: Part = part!("shared", "tile_max_pool");
pub(super) const TILE_AVERAGE: Part = part!("shared", "tile_average_pool");

/// The same parts with the store that suits tiles.
pub(super) fn for_tiles(mut parts: Vec<Part>) -> Vec<Part> {
    let store = parts.pop().map_or("", |part| part.name);
    if store == super::pool::STORE_MAX.name {
        parts.extend([TILE_POOL, TILE_MAX]);
    } else if store == super::pool::STORE_AVERAGE.name {
        parts.extend([TILE_POOL, TILE_AVERAGE]);
    } else {
        parts.push(TILE_STORE_EACH);
    }
    parts
}

/// Everything an epilogue can be, for kernels that compute tiles.
pub(super) fn tile_combinations() -> Vec<Vec<Part>> {
    combinations().into_iter().map(for_tiles).collect()
}

/// Everything an epilogue can be: each activation, with and without residual, stored plain or pooled.
pub(super) fn combinations() -> Vec<Vec<Part>> {
    let stores = [STORE_EACH, super::pool::STORE_MAX, super::pool::STORE_AVERAGE];
    let mut all = Vec::new();
    for activation in ACTIVATIONS {
        let slope = if *activation == Activation::PRelu { SLOPE_CHANNEL } else { SLOPE_UNIFORM };
        for residual in [RESIDUAL_NONE, RESIDUAL_ADD] {
            for store in stores {
                all.push(activation.parts().into_iter().chain([slope, residual, store]).collect());
            }
        }
    }
    all
}

/// Everything an epilogue can be for images that lie by four channels: each activation, with and without residual.
pub(super) fn by_four_combinations() -> Vec<Vec<Part>> {
    let with = |residual: bool| ACTIVATIONS.iter().map(move |activation| by_four_parts(activation, residual));
    with(false).chain(with(true)).collect()
}

/// Whether an epilogue of these parts is compiled for every tile of the kernels that have many: those of nearly all networks.
pub(super) fn is_usual(parts: &[Part]) -> bool {
    const USUAL: [&str; 5] = ["identity", "relu", "leaky_relu", "clip", "swish"];
    parts.first().is_some_and(|activation| USUAL.contains(&activation.name))
}
