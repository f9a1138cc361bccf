//! Operators on volumes `[n, c, d, h, w]`, each made of the same on images: a convolution sees the slices under its kernel as
//! so many more channels, and a pool pools images before it pools depths.

use super::epilogue::{Epilogue, slot};
use super::window::{AutoPad, Pads, Window, auto_pad, kernel_size, resolve_padding, within};
use super::{Concat, Conv, ConvTranspose, Expand, OpResult, Pad, PadMode, Pool, PoolKind, Reshape, Slice, Transpose};
use super::{conv, invalid, unsupported};
use crate::graph::ValueId;
use crate::onnx::OnnxNode;
use crate::ops::slice::Range;

/// Whether a node's first input is a volume.
pub(super) fn is_volume(node: &OnnxNode<'_>) -> OpResult<bool> {
    Ok(node.ty(0)?.shape.len() == 5)
}

/// A window over a volume: over depths, as rows of images of one column, and over each image.
struct Windows {
    depth: Window,
    image: Window,
}

/// The sizes of a volume, or of its filters.
fn sizes(node: &OnnxNode<'_>, slot: usize) -> OpResult<[usize; 5]> {
    let ty = node.ty(slot)?;
    match ty.shape[..] {
        [n, c, d, h, w] => Ok([n, c, d, h, w]),
        _ => invalid(format!("input {slot} is {ty}, and the input a volume [n, c, d, h, w]")),
    }
}

/// An attribute of so many sizes, none less than `least`.
fn numbers<const N: usize>(node: &mut OnnxNode<'_>, name: &str, least: i64) -> OpResult<Option<[usize; N]>> {
    let Some(stated) = node.ints(name)? else { return Ok(None) };
    let Ok(stated) = <[i64; N]>::try_from(stated) else {
        return invalid(format!("{name} of a volume has {N} numbers"));
    };
    let mut found = [0; N];
    for (place, value) in found.iter_mut().zip(stated) {
        *place = within(name, value, least)?;
    }
    Ok(Some(found))
}

impl Windows {
    fn import(node: &mut OnnxNode<'_>, [d, h, w]: [usize; 3], weights: Option<[usize; 3]>) -> OpResult<Self> {
        let kernel = kernel_size(numbers(node, "kernel_shape", 1)?, weights)?;
        let stride = numbers(node, "strides", 1)?.unwrap_or([1; 3]);
        let dilation = numbers(node, "dilations", 1)?.unwrap_or([1; 3]);
        let auto_pad = auto_pad(node)?;
        let stated = numbers::<6>(node, "pads", 0)?;
        if auto_pad != AutoPad::NotSet && stated.is_some_and(|pads| pads != [0; 6]) {
            return invalid("auto_pad and pads are both given");
        }
        let pads = stated.unwrap_or([0; 6]);
        let window = |[y, x]: [usize; 2], image: [usize; 2]| {
            let [kernel, stride, dilation] = [kernel, stride, dilation].map(|all| [all[y], all[x]]);
            let explicit = Pads { top: pads[y], left: pads[x], bottom: pads[y + 3], right: pads[x + 3] };
            let pads = resolve_padding(auto_pad, explicit, image, kernel, stride, dilation);
            Window { kernel, stride, dilation, pads }
        };
        let over_depth = window([0, 1], [d, h]);
        let pads = Pads { left: 0, right: 0, ..over_depth.pads };
        let [kernel, stride, dilation] =
            [over_depth.kernel, over_depth.stride, over_depth.dilation].map(|[depth, _]| [depth, 1]);
        Ok(Windows { depth: Window { kernel, stride, dilation, pads }, image: window([1, 2], [h, w]) })
    }
}

/// `Conv` of a volume.
pub(super) fn import_conv(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let [n, c, d, h, w] = sizes(node, slot::INPUT)?;
    let [out_c, in_c, k_d, k_h, k_w] = sizes(node, slot::WEIGHT)?;
    let Windows { depth, image } = Windows::import(node, [d, h, w], Some([k_d, k_h, k_w]))?;
    let groups = conv::positive("group", node.int("group", 1)?)?;
    let [depths, _] = depth.output_size([d, 1])?;
    let x = node.input(slot::INPUT)?;
    let x = slices_as_channels(node, x, [n, c, d, h, w], &depth, depths)?;
    let weights = node.input(slot::WEIGHT)?;
    let weights = node.emit(Reshape { shape: vec![out_c, in_c * k_d, k_h, k_w] }, &[Some(weights)])?;
    let op = Conv { window: image, groups, epilogue: Epilogue::default() };
    let bias = node.optional_input(slot::BIAS);
    let y = node.emit(op, &[Some(x), Some(weights), bias])?;
    let [_, _, out_h, out_w] = image_of(node, y)?;
    let y = node.emit(Reshape { shape: vec![n, depths, out_c, out_h, out_w] }, &[Some(y)])?;
    node.finish_with(Transpose { permutation: vec![0, 2, 1, 3, 4] }, &[Some(y)])
}

/// For each place of the window over depths an image, whose channels are those of all slices under the window.
fn slices_as_channels(
    node: &mut OnnxNode<'_>,
    x: ValueId,
    [n, c, d, h, w]: [usize; 5],
    depth: &Window,
    depths: usize,
) -> OpResult<ValueId> {
    let Pads { top, bottom, .. } = depth.pads;
    let pad = Pad {
        mode: PadMode::Constant(0.0),
        begin: vec![0, 0, top as isize, 0, 0],
        end: vec![0, 0, bottom as isize, 0, 0],
    };
    let x = if top + bottom > 0 { node.emit(pad, &[Some(x)])? } else { x };
    let all = |count| Range { start: 0, step: 1, count };
    let [taps, stride, dilation] = [depth.kernel[0], depth.stride[0], depth.dilation[0]];
    let mut under = Vec::new();
    for tap in 0..taps {
        let places = Range { start: tap * dilation, step: stride as isize, count: depths };
        let whole = taps == 1 && depths == d && stride == 1;
        let slices = match whole {
            true => x,
            false => node.emit(Slice { ranges: vec![all(n), all(c), places, all(h), all(w)] }, &[Some(x)])?,
        };
        under.push(Some(node.emit(Reshape { shape: vec![n, c, 1, depths, h, w] }, &[Some(slices)])?));
    }
    let together = if let [one] = under[..] { one } else { Some(node.emit(Concat { axis: 2 }, &under)?) };
    let by_place = node.emit(Transpose { permutation: vec![0, 3, 1, 2, 4, 5] }, &[together])?;
    node.emit(Reshape { shape: vec![n * depths, c * taps, h, w] }, &[Some(by_place)])
}

/// `MaxPool` and `AveragePool` of a volume: a largest element is the largest of each image's, and a mean, whose taps are
/// counted in each dimension by itself, the mean of each image's.
pub(super) fn import_pool(node: &mut OnnxNode<'_>, kind: PoolKind, ceil: bool) -> OpResult<()> {
    let [n, c, d, h, w] = sizes(node, 0)?;
    let Windows { depth, image } = Windows::import(node, [d, h, w], None)?;
    let x = node.input(0)?;
    let images = node.emit(Reshape { shape: vec![n, c * d, h, w] }, &[Some(x)])?;
    let images = node.emit(Pool { kind, window: image, ceil }, &[Some(images)])?;
    let [_, _, out_h, out_w] = image_of(node, images)?;
    let lines = node.emit(Reshape { shape: vec![n, c, d, out_h * out_w] }, &[Some(images)])?;
    let pooled = node.emit(Pool { kind, window: depth, ceil }, &[Some(lines)])?;
    let [_, _, out_d, _] = image_of(node, pooled)?;
    node.finish_with(Reshape { shape: vec![n, c, out_d, out_h, out_w] }, &[Some(pooled)])
}

/// `ConvTranspose` of a volume whose kernel covers each depth once, as it does where it doubles a volume: the images that
/// one depth becomes are so many more channels.
pub(super) fn import_conv_transpose(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let [n, c, d, h, w] = sizes(node, slot::INPUT)?;
    let [in_c, out_per_group, k_d, k_h, k_w] = sizes(node, slot::WEIGHT)?;
    let Windows { depth, image } = Windows::import(node, [d, h, w], Some([k_d, k_h, k_w]))?;
    let groups = conv::positive("group", node.int("group", 1)?)?;
    let extra = numbers::<3>(node, "output_padding", 0)?.unwrap_or([0; 3]);
    let stated = node.ints("output_shape")?.is_some() || auto_pad(node)? != AutoPad::NotSet;
    let covers_once =
        depth.stride[0] == k_d && depth.dilation[0] == 1 && depth.pads == Pads::default() && extra[0] == 0;
    if stated || !covers_once {
        return unsupported("of a volume, with anything but a stride of the kernel's depth and no padding there");
    }
    if h == 0 || w == 0 {
        return invalid("the volume is empty");
    }
    let full = [0, 1].map(|axis| ([h, w][axis] - 1) * image.stride[axis] + image.extent()[axis] + extra[axis + 1]);
    let op = ConvTranspose::cut_from(image, full, groups)?;
    let x = node.input(slot::INPUT)?;
    let x = node.emit(Transpose { permutation: vec![0, 2, 1, 3, 4] }, &[Some(x)])?;
    let x = node.emit(Reshape { shape: vec![n * d, c, h, w] }, &[Some(x)])?;
    let weights = node.input(slot::WEIGHT)?;
    let weights = node.emit(Reshape { shape: vec![in_c, out_per_group * k_d, k_h, k_w] }, &[Some(weights)])?;
    let out_c = out_per_group * groups;
    let bias = match node.optional_input(slot::BIAS) {
        None => None,
        Some(bias) => {
            let bias = node.emit(Reshape { shape: vec![out_c, 1] }, &[Some(bias)])?;
            let bias = node.emit(Expand { shape: vec![out_c, k_d] }, &[Some(bias)])?;
            Some(node.emit(Reshape { shape: vec![out_c * k_d] }, &[Some(bias)])?)
        }
    };
    let y = node.emit(op, &[Some(x), Some(weights), bias])?;
    let [_, _, out_h, out_w] = image_of(node, y)?;
    let y = node.emit(Reshape { shape: vec![n, d, out_c, k_d, out_h, out_w] }, &[Some(y)])?;
    let y = node.emit(Transpose { permutation: vec![0, 2, 1, 3, 4, 5] }, &[Some(y)])?;
    node.finish_with(Reshape { shape: vec![n, out_c, d * k_d, out_h, out_w] }, &[Some(y)])
}

/// The sizes of what an operation on images made.
fn image_of(node: &OnnxNode<'_>, value: ValueId) -> OpResult<[usize; 4]> {
    super::image_shape(&[Some(node.type_of(value))], 0)
}
