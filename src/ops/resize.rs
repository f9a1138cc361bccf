//! ONNX's Resize and Upsample: one [`Resample`] for each axis that changes.

use super::host::sizes_of;
use super::resample::{Coordinates, Interpolation, Resample, Rounding};
use super::{Binary, BinaryFunction, OpResult, Reshape, invalid};
use crate::onnx::OnnxNode;
use crate::tensor::Tensor;
use ndarray::{ArrayD, IxDyn};

/// One axis's new size and its scale.
type Target = (usize, f64);

/// `Resize` since opset 11; before, and as `Upsample`, it knew scales alone and counted from the first pixel's corner.
pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let mut steps = match node.op_type() == "Upsample" || node.opset() < 11 {
        true => by_scales(node, &shape)?,
        false => by_attributes(node, &shape)?,
    };
    let changes = |step: &Resample| {
        step.size != shape[step.axis] || step.scale != 1.0 || matches!(step.coordinates, Coordinates::Crop { .. })
    };
    steps.retain(changes);
    // Shrinking first leaves less to do.
    steps.sort_by(|a, b| a.scale.total_cmp(&b.scale));
    let outside = node.float("extrapolation_value", 0.0)?;
    let addend = addend(&steps, &shape, outside)?;
    let mut x = node.input(0)?;
    let mut depends_on_length = false;
    for step in steps {
        x = node.emit(step.clone(), &[Some(x)])?;
        depends_on_length |= step.depends_on_length(shape[step.axis]);
    }
    if depends_on_length {
        node.note_length();
    }
    if let Some(addend) = addend {
        let addend = node.constant_of(addend);
        return node.finish_with(Binary::plain(BinaryFunction::Add), &[Some(x), Some(addend)]);
    }
    let shape = node.type_of(x).shape.clone();
    node.finish_with(Reshape { shape }, &[Some(x)])
}

/// What is added where a crop left zeros, as a tensor that broadcasts; nothing where it would be zeros.
fn addend(steps: &[Resample], shape: &[usize], value: f32) -> OpResult<Option<Tensor>> {
    let mut sizes = vec![1; shape.len()];
    steps.iter().for_each(|step| sizes[step.axis] = step.size);
    let is_outside = |at: &IxDyn| steps.iter().any(|step| step.is_outside(at[step.axis], shape[step.axis]));
    let cropped = steps.iter().any(|step| (0..step.size).any(|place| step.is_outside(place, shape[step.axis])));
    if value == 0.0 || !cropped {
        return Ok(None);
    }
    crate::tensor::checked_len(&sizes)?;
    Ok(Some(Tensor::Real(ArrayD::from_shape_fn(sizes, |at| if is_outside(&at) { value } else { 0.0 }))))
}

/// The target of an axis of `size` elements under a scale; ONNX multiplies in f32.
fn scaled(size: usize, scale: f32) -> OpResult<Target> {
    let new = (size as f32 * scale).floor();
    if !(scale > 0.0 && new < i32::MAX as f32) {
        return invalid(format!("a scale of {scale}"));
    }
    Ok((new as usize, f64::from(scale)))
}

fn by_scales(node: &mut OnnxNode<'_>, shape: &[usize]) -> OpResult<Vec<Resample>> {
    let scales = if node.opset() < 9 { node.floats("scales")? } else { node.constant_reals(1)? };
    let scales = scales.filter(|scales| scales.len() == shape.len());
    let Some(scales) = scales else { return invalid("there is not one scale for each dimension") };
    // Opset 10's own test of the nearest pixel rounds up where the image shrinks; ONNX says nothing else of it.
    let interpolation: fn(f32) -> Interpolation = match node.string("mode", "nearest")?.as_str() {
        "nearest" => |scale| Interpolation::Nearest(if scale < 1.0 { Rounding::Ceil } else { Rounding::Floor }),
        "linear" | "bilinear" => |_| Interpolation::Linear,
        other => return invalid(format!("mode '{other}'")),
    };
    let step = |axis: usize| {
        let (size, scale) = scaled(shape[axis], scales[axis])?;
        let interpolation = interpolation(scales[axis]);
        let (coordinates, antialias, exclude_outside) = (Coordinates::Asymmetric, false, false);
        Ok(Resample { axis, size, scale, coordinates, interpolation, antialias, exclude_outside })
    };
    (0..shape.len()).map(step).collect()
}

fn by_attributes(node: &mut OnnxNode<'_>, shape: &[usize]) -> OpResult<Vec<Resample>> {
    let axes = match node.ints("axes")? {
        None => (0..shape.len()).collect(),
        Some(axes) => axes.iter().map(|&axis| super::axis(axis, shape.len())).collect::<OpResult<Vec<_>>>()?,
    };
    let targets = targets(node, &axes.iter().map(|&axis| shape[axis]).collect::<Vec<_>>())?;
    let roi = node.constant_reals(1)?.unwrap_or_default();
    let mode = node.string("coordinate_transformation_mode", "half_pixel")?;
    if mode == "tf_crop_and_resize" && roi.len() != 2 * axes.len() {
        return invalid(format!("roi has {} numbers for {} axes", roi.len(), axes.len()));
    }
    let length = node.aligned_length();
    let coordinates = |index: usize| {
        Ok(match mode.as_str() {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
            "align_corners" => Coordinates::AlignCorners(length),
            "asymmetric" => Coordinates::Asymmetric,
            "tf_crop_and_resize" => {
                let [start, end] = [roi[index], roi[axes.len() + index]].map(f64::from);
                Coordinates::Crop { start, end }
            }
            other => return invalid(format!("coordinate_transformation_mode '{other}'")),
        })
    };
    let interpolation = interpolation(node)?;
    let (antialias, exclude_outside) = (node.flag("antialias")?, node.flag("exclude_outside")?);
    let step = |(index, (&axis, &(size, scale))): (usize, (&usize, &Target))| {
        let coordinates = coordinates(index)?;
        Ok(Resample { axis, size, scale, coordinates, interpolation, antialias, exclude_outside })
    };
    axes.iter().zip(&targets).enumerate().map(step).collect()
}

fn interpolation(node: &mut OnnxNode<'_>) -> OpResult<Interpolation> {
    let rounding = match node.string("nearest_mode", "round_prefer_floor")?.as_str() {
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return invalid(format!("nearest_mode '{other}'")),
    };
    let a = node.float("cubic_coeff_a", -0.75)?;
    Ok(match node.string("mode", "nearest")?.as_str() {
        "nearest" => Interpolation::Nearest(rounding),
        "linear" => Interpolation::Linear,
        "cubic" => Interpolation::Cubic(f64::from(a)),
        other => return invalid(format!("mode '{other}'")),
    })
}

/// New sizes and scales, from the scales or the sizes that are given; an empty tensor stands for neither.
fn targets(node: &mut OnnxNode<'_>, shape: &[usize]) -> OpResult<Vec<Target>> {
    let scales = node.constant_reals(2)?.filter(|scales| !scales.is_empty());
    let sizes = node.constant_ints(3)?.filter(|sizes| !sizes.is_empty());
    let policy = node.string("keep_aspect_ratio_policy", "stretch")?;
    match (scales, sizes) {
        (Some(scales), None) if scales.len() == shape.len() => {
            shape.iter().zip(scales).map(|(&size, scale)| scaled(size, scale)).collect()
        }
        (None, Some(sizes)) if sizes.len() == shape.len() => {
            let sizes = sizes_of(&sizes)?;
            let ratios = || shape.iter().zip(&sizes).map(|(&old, &new)| new as f64 / old as f64);
            let one = match policy.as_str() {
                "stretch" => return Ok(sizes.iter().copied().zip(ratios()).collect()),
                "not_larger" => ratios().fold(f64::INFINITY, f64::min),
                "not_smaller" => ratios().fold(0.0, f64::max),
                other => return invalid(format!("keep_aspect_ratio_policy '{other}'")),
            };
            Ok(shape.iter().map(|&old| ((one * old as f64 + 0.5).floor() as usize, one)).collect())
        }
        _ => invalid("either scales or sizes must be given, one for each axis"),
    }
}

#[cfg(test)]
mod tests {
    use crate::onnx::{Model, ModelBuilder};
    use crate::tensor::Tensor;

    /// ONNX's own test of opset 10, `resize_downsample_nearest`.
    #[test]
    fn before_opset_11_the_nearest_pixel_is_the_next_one_where_the_image_shrinks() {
        let mut model = ModelBuilder::new(10);
        model
            .initializer("x", &Tensor::real(&[1, 1, 2, 4], (1..9).map(|i| i as f32).collect()).unwrap())
            .initializer("scales", &Tensor::real(&[4], vec![1.0, 1.0, 0.6, 0.6]).unwrap())
            .node("Resize", "resize", &["x", "scales"], &["y"], &[])
            .output("y", None);
        let graph = Model::from_bytes("resize", model.to_bytes()).unwrap().graph(&Default::default()).unwrap();
        let y = graph.value(graph.outputs[0]).constant.clone();
        assert_eq!(y.as_deref(), Some(&Tensor::real(&[1, 1, 1, 2], vec![1.0, 3.0]).unwrap()));
    }
}
