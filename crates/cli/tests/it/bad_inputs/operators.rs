//! Attributes and shapes that no operator can make sense of, and those that are only strange.

use super::Case;
use super::bytes::reals;
use reluctor::onnx::AttributeValue;
use reluctor::tensor::{Tensor, array};

/// An attribute of integers.
fn ints<'a>(name: &'a str, values: &[i64]) -> (&'a str, AttributeValue) {
    (name, AttributeValue::Ints(values.to_vec()))
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::real(shape, values.to_vec()).unwrap()
}

pub fn cases() -> Vec<Case> {
    let mut cases = windows();
    cases.extend(channels());
    cases.extend(pools());
    cases.extend(unpools());
    cases.extend(activations());
    cases.extend(large());
    cases
}

/// Of a convolution and a pool: both refuse alike.
fn windows() -> Vec<Case> {
    let large = 1 << 31;
    let attributes: [(&str, Vec<(&str, AttributeValue)>); 18] = [
        ("stride 0", vec![ints("strides", &[0, 0])]),
        ("stride -1", vec![ints("strides", &[-1, -1])]),
        ("one stride", vec![ints("strides", &[1])]),
        ("dilation 0", vec![ints("dilations", &[0, 0])]),
        ("dilation -1", vec![ints("dilations", &[-1, 1])]),
        ("dilation 2^31", vec![ints("dilations", &[large, large])]),
        ("dilation 2^62", vec![ints("dilations", &[1 << 62, 1 << 62])]),
        ("dilation 2^63 - 1", vec![ints("dilations", &[i64::MAX, i64::MAX])]),
        ("three pads", vec![ints("pads", &[1, 1, 1])]),
        ("a pad of 2^63 - 1", vec![ints("pads", &[i64::MAX, 0, i64::MAX, 0])]),
        ("a pad of -2^63", vec![ints("pads", &[i64::MIN, 0, 0, 0])]),
        ("pads that leave nothing", vec![ints("pads", &[-2, -2, -2, -2])]),
        ("pads and auto_pad", vec![ints("pads", &[1, 1, 1, 1]), ("auto_pad", "SAME_UPPER".into())]),
        ("an unknown auto_pad", vec![("auto_pad", "SAME".into())]),
        ("kernel 0", vec![ints("kernel_shape", &[0, 0])]),
        ("kernel -1", vec![ints("kernel_shape", &[-1, -1])]),
        ("a kernel of one size", vec![ints("kernel_shape", &[3])]),
        ("a kernel larger than the image", vec![ints("kernel_shape", &[5, 5])]),
    ];
    let mut cases = vec![];
    for (name, attributes) in attributes {
        let pooled = |kernel: &(&str, AttributeValue)| kernel.0 == "kernel_shape";
        let mut pool = attributes.clone();
        if !attributes.iter().any(pooled) {
            pool.push(ints("kernel_shape", &[3, 3]));
        }
        let transposed = Case::node("ConvTranspose", name, &[reals(&[1, 1, 4, 4]), reals(&[1, 1, 3, 3])], &attributes);
        cases.push(transposed.may(4));
        let conv = Case::node("Conv", name, &[reals(&[1, 1, 4, 4]), reals(&[1, 1, 3, 3])], &attributes);
        let pools = ["MaxPool", "AveragePool", "LpPool"]
            .map(|pool_type| Case::node(pool_type, name, &[reals(&[1, 1, 4, 4])], &pool));
        cases.extend([conv].into_iter().chain(pools).map(|case| match name {
            "pads and auto_pad" => case.may(4),
            _ => case.refused(4, "node 'n'"),
        }));
    }
    for stride in [large, i64::MAX] {
        let strides = [ints("strides", &[stride, stride])];
        cases.push(
            Case::node("Conv", "a huge stride", &[reals(&[1, 1, 3, 3]), reals(&[1, 1, 3, 3])], &strides)
                .refused(4, "node 'n'"),
        );
    }
    cases
}

fn channels() -> Vec<Case> {
    let conv = |name: &str, weight: &[usize], bias: Option<&[usize]>, group: i64| {
        let inputs: Vec<Tensor> =
            [Some(&[1, 4, 4, 4][..]), Some(weight), bias].into_iter().flatten().map(reals).collect();
        Case::node("Conv", name, &inputs, &[("group", group.into())]).refused(4, "node 'n'")
    };
    let transposed = |name: &str, weight: &[usize], group: i64| {
        let inputs = [reals(&[1, 4, 4, 4]), reals(weight)];
        Case::node("ConvTranspose", name, &inputs, &[("group", group.into())]).refused(4, "node 'n'")
    };
    let output_padding = |values: &[i64]| {
        let inputs = [reals(&[1, 1, 4, 4]), reals(&[1, 1, 3, 3])];
        Case::node("ConvTranspose", "output_padding", &inputs, &[ints("output_padding", values)]).may(4)
    };
    let output_shape = |values: &[i64]| {
        let inputs = [reals(&[1, 1, 4, 4]), reals(&[1, 1, 3, 3])];
        Case::node("ConvTranspose", "output_shape", &inputs, &[ints("output_shape", values)]).may(4)
    };
    vec![
        conv("group 0", &[4, 4, 3, 3], None, 0),
        conv("group -1", &[4, 4, 3, 3], None, -1),
        conv("group 2^63 - 1", &[4, 4, 3, 3], None, i64::MAX),
        conv("a group that does not divide the channels", &[3, 1, 3, 3], None, 3),
        conv("weights of other channels", &[4, 3, 3, 3], None, 1),
        conv("a group that does not divide the filters", &[3, 2, 3, 3], None, 2),
        conv("weights of five dimensions", &[4, 4, 3, 3, 1], None, 1).may(4),
        conv("weights of no filter", &[0, 4, 3, 3], None, 1).may(4),
        conv("weights of no channel", &[4, 0, 3, 3], None, 1),
        conv("a kernel of no height", &[4, 4, 0, 3], None, 1),
        conv("a bias too short", &[4, 4, 3, 3], Some(&[3]), 1),
        conv("a bias too long", &[4, 4, 3, 3], Some(&[5]), 1),
        conv("a bias of one number", &[4, 4, 3, 3], Some(&[1]), 1),
        conv("a bias of two dimensions", &[4, 4, 3, 3], Some(&[4, 1]), 1),
        transposed("group 0", &[4, 4, 3, 3], 0),
        transposed("a group that does not divide the channels", &[4, 1, 3, 3], 3),
        transposed("weights of other channels", &[3, 4, 3, 3], 1),
        output_padding(&[-1, -1]),
        output_padding(&[i64::MAX, i64::MAX]),
        output_padding(&[9, 9]),
        output_shape(&[0, 0]),
        output_shape(&[-5, 5]),
        output_shape(&[i64::MAX, i64::MAX]),
        output_shape(&[1, 1]),
        Case::node("Conv", "no items", &[reals(&[0, 1, 4, 4]), reals(&[1, 1, 3, 3])], &[]).may(4),
    ]
}

fn pools() -> Vec<Case> {
    let pool = |name: &str, kernel: i64, stride: i64, pads: i64, ceil: i64| {
        let attributes = [
            ints("kernel_shape", &[kernel, kernel]),
            ints("strides", &[stride, stride]),
            ints("pads", &[pads; 4]),
            ("ceil_mode", ceil.into()),
        ];
        Case::node("MaxPool", name, &[reals(&[1, 1, 3, 3])], &attributes)
    };
    let square = |values: [f32; 9]| (vec![1, 1, 3, 3], values);
    let fed = |case: Case, (shape, values): (Vec<usize>, [f32; 9])| case.fed(&shape, &values);
    let low = f32::NEG_INFINITY;
    vec![
        fed(pool("a window of padding alone", 2, 2, 2, 0), square([1.0; 9])).may(4),
        // The last window would start behind the image, and is left out.
        fed(
            pool("a last window that starts in the padding", 1, 3, 0, 1),
            square([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
        )
        .gives(&[1.0]),
        fed(pool("minus infinity alone", 3, 1, 0, 0), square([low; 9])).gives(&[low]),
        fed(pool("numbers below any finite stand-in for minus infinity", 3, 1, 0, 0), square([-3.4e38; 9]))
            .gives(&[-3.4e38]),
        fed(pool("padding under negative numbers", 3, 3, 1, 0), square([-1.0; 9])).gives(&[-1.0]),
        fed(pool("NaN alone", 3, 1, 0, 0), square([f32::NAN; 9])).gives(&[f32::NAN]),
        fed(pool("one NaN", 3, 1, 0, 0), square([1.0, 2.0, f32::NAN, low, 5.0, 0.0, -1.0, 3.0, 4.0]))
            .gives(&[f32::NAN]),
    ]
}

fn unpools() -> Vec<Case> {
    let two = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let unpool = |name: &str, indices: &[i64], attributes: &[(&str, AttributeValue)]| {
        let indices = Tensor::Int(array(&[1, 1, 1, indices.len()], indices.to_vec()).unwrap());
        Case::node("MaxUnpool", name, &[reals(&[1, 1, 1, 2]), indices], attributes).fed(&[1, 1, 1, 2], &[5.0, 6.0])
    };
    let stated = |name: &str, shape: &[i64]| {
        let indices = Tensor::Int(array(&[1, 1, 1, 2], vec![0, 7]).unwrap());
        let inputs = [reals(&[1, 1, 1, 2]), indices, Tensor::ints(shape.to_vec())];
        Case::node("MaxUnpool", name, &inputs, &two()).fed(&[1, 1, 1, 2], &[5.0, 6.0])
    };
    let with = |name: &str, more: &[(&str, AttributeValue)]| {
        let stated = |attribute: &(&str, AttributeValue)| more.iter().any(|(name, _)| *name == attribute.0);
        let attributes: Vec<_> = two().into_iter().filter(|attribute| !stated(attribute)).collect();
        unpool(name, &[0, 1], &[&attributes[..], more].concat()).refused(4, "node 'n'")
    };
    let huge = 1 << 62;
    vec![
        unpool("one place twice", &[3, 3], &two()).gives(&[0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 0.0]),
        unpool("an index behind the end", &[0, 8], &two()).refused(4, "node 'n'"),
        unpool("a negative index", &[-1, 0], &two()).refused(4, "node 'n'"),
        unpool("an index of -2^63", &[i64::MIN, 0], &two()).refused(4, "node 'n'"),
        unpool("three indices of two elements", &[0, 1, 2], &two()).refused(4, "node 'n'"),
        unpool("no kernel", &[0, 1], &[]).refused(4, "node 'n'"),
        with("a kernel of 0", &[ints("kernel_shape", &[0, 2])]),
        with("a kernel of one size", &[ints("kernel_shape", &[2])]),
        with("a kernel of 2^62", &[ints("kernel_shape", &[huge, huge])]),
        with("a kernel of 2^31 - 1", &[ints("kernel_shape", &[i64::from(i32::MAX); 2])]),
        with("stride 0", &[ints("strides", &[0, 0])]),
        with("pads that leave nothing", &[ints("pads", &[1, 1, 2, 1])]),
        with("two pads", &[ints("pads", &[1, 1])]),
        stated("in a corner of more", &[1, 1, 3, 5])
            .gives(&[5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        stated("to less than the window", &[1, 1, 1, 4]).refused(3, "'n'"),
        stated("to another rank", &[1, 2, 4]).refused(4, "node 'n'"),
        stated("to -1", &[1, 1, 2, -1]).refused(4, "node 'n'"),
        stated("to 2^62", &[1, 1, 2, huge]).refused(4, "node 'n'"),
    ]
}

fn activations() -> Vec<Case> {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let row = [-2.0f32, -0.5, 0.0, 0.5];
    let with = |op_type: &str, name: &str, alpha: f32| {
        Case::node(op_type, name, &[reals(&[4])], &[("alpha", alpha.into())]).fed(&[4], &row)
    };
    let slope = |name: &str, shape: &[usize]| {
        Case::node("PRelu", name, &[reals(&[1, 2, 1, 2]), floats(shape, &vec![0.5; shape.iter().product()])], &[])
            .fed(&[1, 2, 1, 2], &[-2.0, 2.0, -4.0, 4.0])
    };
    let halved = [-1.0, 2.0, -2.0, 4.0];
    let clip = |name: &str, low: f32, high: f32| {
        Case::node("Clip", name, &[reals(&[4]), floats(&[], &[low]), floats(&[], &[high])], &[]).fed(&[4], &row)
    };
    vec![
        slope("one slope", &[]).gives(&halved),
        slope("one slope in a list", &[1]).gives(&halved),
        slope("a slope each channel", &[2, 1, 1]).gives(&halved),
        slope("a slope each number", &[1, 2, 1, 2]).gives(&halved),
        slope("three slopes", &[3]).refused(4, "node 'n'"),
        slope("slopes of a larger tensor", &[5, 1, 2, 1, 2]).refused(4, "node 'n'"),
        // ONNX: where the lower bound is above the upper one, all become the upper one.
        clip("bounds in the wrong order", 1.0, -1.0).gives(&[-1.0; 4]),
        clip("a bound of NaN", nan, 1.0).may(4),
        Case::node("Clip", "two lower bounds", &[reals(&[4]), reals(&[2])], &[]).refused(4, "node 'n'"),
        with("Elu", "alpha 0", 0.0).gives(&[-0.0, -0.0, 0.0, 0.5]),
        with("Elu", "alpha NaN", nan).gives(&[nan, nan, 0.0, 0.5]).may(4),
        with("Elu", "alpha infinite", inf).may(4),
        with("Elu", "alpha negative", -1.0).may(4),
        with("Selu", "alpha NaN", nan).may(4),
        with("Selu", "alpha infinite", inf).may(4),
        with("Celu", "alpha 0", 0.0).refused(4, "node 'n'"),
        with("Celu", "alpha -0", -0.0).refused(4, "node 'n'"),
        with("Celu", "alpha negative", -1.0).may(4),
        with("Celu", "alpha NaN", nan).may(4),
        with("Celu", "alpha infinite", inf).may(4),
        with("LeakyRelu", "alpha NaN", nan).may(4),
        with("ThresholdedRelu", "alpha NaN", nan).may(4),
        with("HardSigmoid", "alpha infinite", inf).may(4),
        Case::node("Relu", "a second input", &[reals(&[4]), reals(&[4])], &[]).refused(4, "an input 1"),
        Case::node("Clip", "a fourth input", &[reals(&[4]), reals(&[]), reals(&[]), reals(&[])], &[])
            .refused(4, "an input 3"),
    ]
}

/// What a file of a few bytes may ask for.
fn large() -> Vec<Case> {
    let of = |values: &[i64]| Tensor::ints(values.to_vec());
    let huge = 1i64 << 40;
    let image = || reals(&[1, 1, 4, 4]);
    let mut cases = vec![
        Case::node(
            "Conv",
            "a pad of 2^31",
            &[image(), reals(&[1, 1, 3, 3])],
            &[ints("pads", &[1 << 30, 1 << 30, 0, 0])],
        )
        .refused(4, "node 'n'"),
        Case::node(
            "MaxPool",
            "a pad of 2^31",
            &[image()],
            &[ints("kernel_shape", &[3, 3]), ints("pads", &[1 << 31; 4])],
        )
        .may(4),
        Case::node("Pad", "a pad of 2^40", &[image(), of(&[0, 0, 0, huge, 0, 0, 0, 0])], &[]).refused(4, "node 'n'"),
        Case::node("Pad", "a pad of 2^63 - 1", &[image(), of(&[0, 0, 0, i64::MAX, 0, 0, 0, i64::MAX])], &[])
            .refused(4, "n"),
        Case::node("Pad", "pads of the wrong length", &[image(), of(&[1, 1])], &[]).refused(4, "node 'n'"),
        Case::node("Pad", "an axis twice", &[image(), of(&[1, 1, 1, 1]), floats(&[], &[0.0]), of(&[3, -1])], &[])
            .refused(4, "named twice"),
        Case::node("Tile", "2^40 times", &[image(), of(&[huge, 1, 1, 1])], &[]).refused(6, "tensor 'n"),
        Case::node("Tile", "-1 times", &[image(), of(&[-1, 1, 1, 1])], &[]).refused(4, "node 'n'"),
        Case::node("Expand", "to 2^40", &[image(), of(&[huge, 1, 4, 4])], &[]).refused(6, "tensor 'y'"),
        Case::node("Expand", "to -1", &[image(), of(&[-1, 1, 4, 4])], &[]).refused(4, "node 'n'"),
        Case::node("Reshape", "to 2^40", &[image(), of(&[huge])], &[]).refused(4, "node 'n'"),
        Case::node("Reshape", "to two unknown sizes", &[image(), of(&[-1, -1])], &[]).refused(4, "node 'n'"),
        Case::node("Reshape", "to -2", &[image(), of(&[-2, 16])], &[]).refused(4, "node 'n'"),
        Case::node("Transpose", "an axis twice", &[image()], &[ints("perm", &[0, 0, 1, 2])]).refused(4, "node 'n'"),
        Case::node("Transpose", "an axis of 9", &[image()], &[ints("perm", &[0, 1, 2, 9])]).refused(4, "node 'n'"),
        Case::node("Concat", "an axis of 9", &[image(), image()], &[("axis", 9.into())]).refused(4, "node 'n'"),
        Case::node("Softmax", "an axis of -9", &[image()], &[("axis", (-9).into())]).refused(4, "node 'n'"),
        Case::node("Softmax", "an axis of -2^63", &[image()], &[("axis", i64::MIN.into())]).refused(4, "node 'n'"),
        Case::node("Flatten", "an axis of 9", &[image()], &[("axis", 9.into())]).refused(4, "node 'n'"),
        Case::node("DepthToSpace", "blocks of 0", &[image()], &[("blocksize", 0.into())]).refused(4, "node 'n'"),
        Case::node("DepthToSpace", "blocks of 2^62", &[image()], &[("blocksize", (1 << 62).into())])
            .refused(4, "node 'n'"),
        Case::node("SpaceToDepth", "blocks of 2^62", &[image()], &[("blocksize", (1 << 62).into())])
            .refused(4, "node 'n'"),
        Case::node("SpaceToDepth", "blocks of 0", &[image()], &[("blocksize", 0.into())]).refused(4, "node 'n'"),
        Case::node("LRN", "a size of 0", &[image()], &[("size", 0.into())]).may(4),
        Case::node("LRN", "a size of 2^63 - 1", &[image()], &[("size", i64::MAX.into())]).may(4),
        Case::node("GroupNormalization", "0 groups", &[image(), reals(&[1]), reals(&[1])], &[("num_groups", 0.into())])
            .may(4),
        Case::node("BatchNormalization", "no statistics", &[image()], &[]).refused(4, "node 'n'"),
        Case::node(
            "BatchNormalization",
            "statistics of another size",
            &[image(), reals(&[2]), reals(&[2]), reals(&[2]), reals(&[2])],
            &[],
        )
        .refused(4, "node 'n'"),
        Case::node("MatMul", "sizes that do not fit", &[reals(&[2, 3]), reals(&[4, 5])], &[]).refused(4, "node 'n'"),
        Case::node("Gemm", "sizes that do not fit", &[reals(&[2, 3]), reals(&[4, 5])], &[]).refused(4, "node 'n'"),
        Case::node("Slice", "a step of 0", &[image(), of(&[0]), of(&[1]), of(&[0]), of(&[0])], &[])
            .refused(4, "node 'n'"),
        Case::node("Slice", "a step of -2^63", &[image(), of(&[0]), of(&[1]), of(&[2]), of(&[i64::MIN])], &[]).may(4),
        Case::node("Slice", "to -2^63", &[image(), of(&[i64::MAX]), of(&[i64::MIN]), of(&[2]), of(&[-1])], &[]).may(4),
        Case::node("Slice", "starts without ends", &[image(), of(&[0])], &[]).refused(4, "node 'n'"),
        Case::node("Split", "sizes of another sum", &[image(), of(&[9])], &[("axis", 2.into())]).refused(4, "node 'n'"),
        Case::node("Unsqueeze", "an axis of 2^62", &[image(), of(&[1 << 62])], &[]).refused(4, "node 'n'"),
        Case::node("Squeeze", "an axis that is not 1", &[image(), of(&[2])], &[]).refused(4, "node 'n'"),
        Case::node("ReduceSum", "an axis of 9", &[image(), of(&[9])], &[]).refused(4, "node 'n'"),
        Case::node("Gather", "an index of 9", &[image(), of(&[9])], &[]).may(4),
        Case::node(
            "Upsample",
            "by 2^40",
            &[image()],
            &[("scales", AttributeValue::Floats(vec![1.0, 1.0, 1e12, 1e12]))],
        )
        .may(4),
        Case::node("GlobalAveragePool", "a scalar", &[reals(&[])], &[]).may(4),
        Case::node("MaxPool", "a scalar", &[reals(&[])], &[ints("kernel_shape", &[1, 1])]).may(4),
        Case::node("Conv", "a scalar", &[reals(&[]), reals(&[])], &[]).refused(3, "'n'"),
        Case::node("Conv", "two scalars of 1,000 dimensions", &[reals(&[1; 100]), reals(&[1; 100])], &[]).may(4),
    ];
    for (name, scales) in [
        ("by 0", [1.0, 1.0, 0.0, 0.0]),
        ("by a negative factor", [1.0, 1.0, -1.0, 1.0]),
        ("by NaN", [1.0, 1.0, f32::NAN, 1.0]),
        ("by infinity", [1.0, 1.0, f32::INFINITY, 1.0]),
        ("by 1e30", [1.0, 1.0, 1e30, 1.0]),
    ] {
        cases.push(Case::node("Resize", name, &[image(), floats(&[0], &[]), floats(&[4], &scales)], &[]).may(4));
    }
    cases.push(
        Case::node(
            "Resize",
            "to 1,000,000 by 1,000,000",
            &[image(), floats(&[0], &[]), floats(&[0], &[]), of(&[1, 1, 1_000_000, 1_000_000])],
            &[],
        )
        .refused(6, "tensor 'n"),
    );
    cases.push(Case::node("ConstantOfShape", "of 2^40 zeros", &[of(&[huge])], &[]).refused(2, "'x'"));
    cases
}
