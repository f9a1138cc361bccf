//! Heads, and the stages that may stand behind one.

use super::network::{Network, Value};
use reluctor::onnx::AttributeValue::{Float, Ints, Text};

/// Makes what a chain begins with, for a batch.
pub type Head = fn(&mut Network, usize) -> Value;

/// Appends to a value; none where that has no meaning for its shape. The second value is what the head reads.
pub type Stage = fn(&mut Network, &Value, &Value) -> Option<Value>;

/// Channels, height and width of what heads read.
const IMAGE: [usize; 3] = [4, 6, 5];

fn image(n: &mut Network, batch: usize) -> Value {
    n.input(&[batch, IMAGE[0], IMAGE[1], IMAGE[2]])
}

fn convolved(n: &mut Network, batch: usize, [out, per_group, k]: [usize; 3], bias: bool, stride: i64) -> Value {
    let x = image(n, batch);
    let filters = n.constant(&[out, per_group, k, k]);
    let bias = if bias { n.constant(&[out]) } else { String::new() };
    let (pad, groups) = (k as i64 / 2, (IMAGE[0] / per_group) as i64);
    let size = |size: usize| (size + 2 * (k / 2) - k) / stride as usize + 1;
    n.node(
        "Conv",
        &[&x.name, &filters, &bias],
        &[batch, out, size(IMAGE[1]), size(IMAGE[2])],
        &[("pads", Ints(vec![pad; 4])), ("strides", Ints(vec![stride; 2])), ("group", groups.into())],
    )
}

pub const HEADS: &[(&str, Head)] = &[
    ("conv", |n, batch| convolved(n, batch, [4, 4, 3], false, 1)),
    ("conv with bias", |n, batch| convolved(n, batch, [6, 4, 3], true, 1)),
    ("depthwise", |n, batch| convolved(n, batch, [4, 1, 3], false, 1)),
    ("grouped", |n, batch| convolved(n, batch, [6, 2, 3], false, 1)),
    ("1x1", |n, batch| convolved(n, batch, [8, 4, 1], true, 1)),
    ("strided", |n, batch| convolved(n, batch, [6, 4, 3], false, 2)),
    ("transposed", |n, batch| {
        let x = image(n, batch);
        let filters = n.constant(&[4, 6, 2, 2]);
        let shape = [batch, 6, 2 * IMAGE[1], 2 * IMAGE[2]];
        n.node("ConvTranspose", &[&x.name, &filters], &shape, &[("strides", Ints(vec![2; 2]))])
    }),
    ("product", |n, batch| {
        let (x, factor) = (image(n, batch), n.constant(&[IMAGE[2], 3]));
        n.node("MatMul", &[&x.name, &factor], &[batch, IMAGE[0], IMAGE[1], 3], &[])
    }),
    ("product of computed", |n, batch| {
        let (x, y) = (image(n, batch), n.input(&[batch, IMAGE[0], IMAGE[2], 3]));
        n.node("MatMul", &[&x.name, &y.name], &[batch, IMAGE[0], IMAGE[1], 3], &[])
    }),
    ("gemm", |n, batch| {
        let (x, factor, bias) = (n.input(&[batch, 7]), n.constant(&[7, 5]), n.constant(&[5]));
        n.node("Gemm", &[&x.name, &factor, &bias], &[batch, 5], &[("alpha", Float(0.5))])
    }),
    ("batch normalization", |n, batch| {
        let x = image(n, batch);
        batch_norm(n, &x, &x).expect("an image has channels")
    }),
    ("instance normalization", |n, batch| {
        let x = image(n, batch);
        instance_norm(n, &x, &x).expect("an image has rows")
    }),
    ("layer normalization", |n, batch| {
        let x = image(n, batch);
        let [scale, bias] = [n.constant(&[IMAGE[2]]), n.constant(&[IMAGE[2]])];
        n.node("LayerNormalization", &[&x.name, &scale, &bias], &x.shape, &[])
    }),
    ("group normalization", |n, batch| {
        let x = image(n, batch);
        let [scale, bias] = [n.constant(&[IMAGE[0]]), n.constant(&[IMAGE[0]])];
        n.node("GroupNormalization", &[&x.name, &scale, &bias], &x.shape, &[("num_groups", 2.into())])
    }),
    ("mean variance normalization", |n, batch| {
        let x = image(n, batch);
        n.node("MeanVarianceNormalization", &[&x.name], &x.shape, &[])
    }),
    ("local response normalization", |n, batch| {
        let x = image(n, batch);
        n.node("LRN", &[&x.name], &x.shape, &[("size", 3.into())])
    }),
    ("formula over the image", |n, batch| {
        let x = image(n, batch);
        by_parts(n, &x, &[1, 2, 3])
    }),
    ("resize", |n, batch| {
        let x = image(n, batch);
        let sizes = [batch, IMAGE[0], 2 * IMAGE[1], 2 * IMAGE[2]];
        let wanted = n.integers(&sizes.map(|size| size as i64));
        n.node("Resize", &[&x.name, "", "", &wanted], &sizes, &[("mode", Text("linear".into()))])
    }),
    ("max pool", |n, batch| {
        let x = image(n, batch);
        pool(n, &x, "MaxPool").expect("an image is large enough")
    }),
    ("average pool", |n, batch| {
        let x = image(n, batch);
        pool(n, &x, "AveragePool").expect("an image is large enough")
    }),
    ("sum", |n, batch| {
        let (x, y) = (image(n, batch), n.input(&[batch, IMAGE[0], 1, 1]));
        n.node("Add", &[&x.name, &y.name], &x.shape.clone(), &[])
    }),
];

/// The shapes of constants that broadcast to a tensor of a shape, by what they differ along.
fn along(shape: &[usize], axes: &[usize]) -> Option<Vec<usize>> {
    let inside = axes.iter().all(|&axis| axis < shape.len());
    inside.then(|| shape.iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { size } else { 1 }).collect())
}

fn with_constant(n: &mut Network, function: &str, y: &Value, axes: &[usize]) -> Option<Value> {
    let constant = n.constant(&along(&y.shape, axes)?);
    Some(n.node(function, &[&y.name, &constant], &y.shape, &[]))
}

fn activation(n: &mut Network, y: &Value, op_type: &str) -> Option<Value> {
    Some(n.node(op_type, &[&y.name], &y.shape, &[]))
}

fn batch_norm(n: &mut Network, y: &Value, _: &Value) -> Option<Value> {
    let channels = [*y.shape.get(1)?];
    let [scale, bias, mean, variance] =
        [n.constant(&channels), n.constant(&channels), n.constant(&channels), n.positive(&channels)];
    Some(n.node("BatchNormalization", &[&y.name, &scale, &bias, &mean, &variance], &y.shape, &[]))
}

fn instance_norm(n: &mut Network, y: &Value, _: &Value) -> Option<Value> {
    let &[_, channels, _, _] = &y.shape[..] else { return None };
    let [scale, bias] = [n.constant(&[channels]), n.constant(&[channels])];
    Some(n.node("InstanceNormalization", &[&y.name, &scale, &bias], &y.shape, &[("epsilon", Float(0.01))]))
}

/// `(y - mean) / sqrt(variance + epsilon)`, operator by operator.
fn by_parts(n: &mut Network, y: &Value, axes: &[i64]) -> Value {
    let rows: Vec<usize> =
        y.shape.iter().enumerate().map(|(axis, &size)| if axes.contains(&(axis as i64)) { 1 } else { size }).collect();
    let axes = n.integers(axes);
    let mean = n.node("ReduceMean", &[&y.name, &axes], &rows, &[]);
    let centred = n.node("Sub", &[&y.name, &mean.name], &y.shape, &[]);
    let squared = n.node("Mul", &[&centred.name, &centred.name], &y.shape, &[]);
    let variance = n.node("ReduceMean", &[&squared.name, &axes], &rows, &[]);
    let epsilon = n.number(0.01);
    let shifted = n.node("Add", &[&variance.name, &epsilon], &rows, &[]);
    let deviation = n.node("Sqrt", &[&shifted.name], &rows, &[]);
    n.node("Div", &[&centred.name, &deviation.name], &y.shape, &[])
}

fn pool(n: &mut Network, y: &Value, op_type: &str) -> Option<Value> {
    let &[batch, channels, h, w] = &y.shape[..] else { return None };
    let size = |size: usize| (size.checked_sub(2)?).checked_div(2).map(|steps| steps + 1);
    let shape = [batch, channels, size(h)?, size(w)?];
    Some(n.node(op_type, &[&y.name], &shape, &[("kernel_shape", Ints(vec![2; 2])), ("strides", Ints(vec![2; 2]))]))
}

fn transposed(n: &mut Network, y: &Value, between: impl Fn(&mut Network, &Value) -> Value) -> Option<Value> {
    let &[batch, channels, h, w] = &y.shape[..] else { return None };
    let there = n.node("Transpose", &[&y.name], &[batch, h, w, channels], &[("perm", Ints(vec![0, 2, 3, 1]))]);
    let between = between(n, &there);
    Some(n.node("Transpose", &[&between.name], &y.shape, &[("perm", Ints(vec![0, 3, 1, 2]))]))
}

pub const STAGES: &[(&str, Stage)] = &[
    ("+ channel", |n, y, _| with_constant(n, "Add", y, &[1])),
    ("* channel", |n, y, _| with_constant(n, "Mul", y, &[1])),
    ("+ image", |n, y, _| with_constant(n, "Add", y, &[0])),
    ("* image", |n, y, _| with_constant(n, "Mul", y, &[0])),
    ("+ image and channel", |n, y, _| with_constant(n, "Add", y, &[0, 1])),
    ("* image and channel", |n, y, _| with_constant(n, "Mul", y, &[0, 1])),
    ("+ pixel", |n, y, _| with_constant(n, "Add", y, &[2, 3])),
    ("* pixel", |n, y, _| with_constant(n, "Mul", y, &[2, 3])),
    ("+ row of pixels", |n, y, _| with_constant(n, "Add", y, &[3])),
    ("* row of pixels", |n, y, _| with_constant(n, "Mul", y, &[3])),
    ("+ one", |n, y, _| with_constant(n, "Add", y, &[])),
    ("* one", |n, y, _| with_constant(n, "Mul", y, &[])),
    // Without leading dimensions, and as the first operand.
    ("channel +", |n, y, _| {
        let constant = n.constant(&[*y.shape.get(1)?, 1, 1]);
        (y.shape.len() == 4).then(|| n.node("Add", &[&constant, &y.name], &y.shape, &[]))
    }),
    ("channel -", |n, y, _| {
        let constant = n.constant(&along(&y.shape, &[1])?);
        Some(n.node("Sub", &[&constant, &y.name], &y.shape, &[]))
    }),
    ("batch normalization", batch_norm),
    ("relu", |n, y, _| activation(n, y, "Relu")),
    ("leaky relu", |n, y, _| Some(n.node("LeakyRelu", &[&y.name], &y.shape, &[("alpha", Float(0.3))]))),
    ("prelu", |n, y, _| {
        let slope = n.constant(&[*y.shape.get(1)?, 1, 1]);
        (y.shape.len() == 4).then(|| n.node("PRelu", &[&y.name, &slope], &y.shape, &[]))
    }),
    ("clip", |n, y, _| {
        let [low, high] = [n.number(-0.25), n.number(1.5)];
        Some(n.node("Clip", &[&y.name, &low, &high], &y.shape, &[]))
    }),
    ("sigmoid", |n, y, _| activation(n, y, "Sigmoid")),
    ("silu in parts", |n, y, _| {
        let gate = n.node("Sigmoid", &[&y.name], &y.shape, &[]);
        Some(n.node("Mul", &[&y.name, &gate.name], &y.shape, &[]))
    }),
    ("hard swish in parts", |n, y, _| {
        let [three, zero, six] = [n.number(3.0), n.number(0.0), n.number(6.0)];
        let shifted = n.node("Add", &[&y.name, &three], &y.shape, &[]);
        let clipped = n.node("Clip", &[&shifted.name, &zero, &six], &y.shape, &[]);
        let product = n.node("Mul", &[&y.name, &clipped.name], &y.shape, &[]);
        Some(n.node("Div", &[&product.name, &six], &y.shape, &[]))
    }),
    ("+ tensor", |n, y, _| {
        let other = n.input(&y.shape);
        Some(n.node("Add", &[&y.name, &other.name], &y.shape, &[]))
    }),
    ("tensor +", |n, y, _| {
        let other = n.input(&y.shape);
        let branch = n.node("Tanh", &[&other.name], &y.shape, &[]);
        Some(n.node("Add", &[&branch.name, &y.name], &y.shape, &[]))
    }),
    ("+ the head's input", |n, y, x| (x.shape == y.shape).then(|| n.node("Add", &[&x.name, &y.name], &y.shape, &[]))),
    ("+ itself", |n, y, _| Some(n.node("Add", &[&y.name, &y.name], &y.shape, &[]))),
    ("* tensor", |n, y, _| {
        let other = n.input(&y.shape);
        Some(n.node("Mul", &[&y.name, &other.name], &y.shape, &[]))
    }),
    ("* gate", |n, y, _| {
        let gate = n.input(&along(&y.shape, &[0, 1])?);
        let gate = n.node("Sigmoid", &[&gate.name], &gate.shape, &[]);
        Some(n.node("Mul", &[&y.name, &gate.name], &y.shape, &[]))
    }),
    ("max pool", |n, y, _| pool(n, y, "MaxPool")),
    ("average pool", |n, y, _| pool(n, y, "AveragePool")),
    ("instance normalization", instance_norm),
    ("formula over pixels", |n, y, _| (y.shape.len() == 4).then(|| by_parts(n, y, &[2, 3]))),
    ("formula over the image", |n, y, _| (y.shape.len() == 4).then(|| by_parts(n, y, &[1, 2, 3]))),
    ("pad", |n, y, _| {
        let &[batch, channels, h, w] = &y.shape[..] else { return None };
        let pads = n.integers(&[0, 0, 1, 0, 0, 0, 1, 2]);
        Some(n.node("Pad", &[&y.name, &pads], &[batch, channels, h + 2, w + 2], &[]))
    }),
    ("transposed there and back", |n, y, _| transposed(n, y, |_, there| there.clone())),
    ("+ channel while transposed", |n, y, _| {
        transposed(n, y, |n, there| {
            let constant = n.constant(&[there.shape[3]]);
            n.node("Add", &[&there.name, &constant], &there.shape, &[])
        })
    }),
    ("slice", |n, y, _| {
        let channels = *y.shape.get(1)?;
        let [start, end, axis] = [n.integers(&[1]), n.integers(&[channels as i64]), n.integers(&[1])];
        let mut shape = y.shape.clone();
        shape[1] = channels.checked_sub(1).filter(|&left| left > 0)?;
        Some(n.node("Slice", &[&y.name, &start, &end, &axis], &shape, &[]))
    }),
    ("concat", |n, y, _| {
        let mut shape = y.shape.clone();
        let other = n.input(&shape);
        *shape.get_mut(1)? *= 2;
        Some(n.node("Concat", &[&y.name, &other.name], &shape, &[("axis", 1.into())]))
    }),
];

/// One of each class, for longer orders.
pub const CLASSES: &[&str] = &[
    "+ channel",
    "* channel",
    "+ image and channel",
    "* one",
    "batch normalization",
    "relu",
    "silu in parts",
    "prelu",
    "+ tensor",
    "* gate",
    "max pool",
    "formula over pixels",
    "pad",
];
