//! Padding as models state it, from the file to the result: `auto_pad`, `pads`, `output_padding` and `output_shape`.

use crate::definition::{self, Attributes, Image, PoolAttributes};
use reluctor::cpu;
use reluctor::onnx::{AttributeValue, Bindings, Model, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::random::{Numbers, Random};

/// Kernel sizes, strides and dilations; the input is 7x13.
const WINDOWS: [([usize; 2], [usize; 2], [usize; 2]); 6] = [
    ([3, 3], [1, 1], [1, 1]),
    ([2, 4], [1, 1], [1, 1]),
    ([3, 2], [2, 3], [1, 1]),
    ([3, 3], [2, 2], [2, 1]),
    ([2, 2], [3, 3], [1, 1]),
    ([5, 1], [1, 4], [1, 1]),
];
const SIZE: [usize; 2] = [7, 13];
const INPUT: [usize; 4] = [2, 4, 7, 13];

fn image(seed: u64, shape: [usize; 4]) -> Image {
    let mut random = Random::new(seed);
    let data = (0..shape.iter().product()).map(|_| f64::from(random.number(Numbers::Reals))).collect();
    Image { shape, data }
}

fn ints<const N: usize>(sizes: [usize; N]) -> AttributeValue {
    AttributeValue::Ints(sizes.map(|size| size as i64).to_vec())
}

/// What a model of one operator makes of an image, in f64.
fn run(op_type: &str, x: &Image, filters: Option<&Image>, attributes: &[(&str, AttributeValue)]) -> Image {
    let mut builder = ModelBuilder::new(22);
    builder.input("x", &TensorType::real(x.shape)).output("y", None);
    let mut inputs = vec!["x"];
    if let Some(filters) = filters {
        let data = filters.data.iter().map(|&x| x as f32).collect();
        builder.initializer("w", &Tensor::real(&filters.shape, data).unwrap());
        inputs.push("w");
    }
    builder.node(op_type, "", &inputs, &["y"], attributes);
    let model = Model::from_bytes("test", builder.to_bytes()).unwrap();
    let graph = model.graph(&Bindings::default()).unwrap_or_else(|error| panic!("{op_type}: {error}"));
    let x = Tensor::real(&x.shape, x.data.clone()).unwrap();
    let (_, y) = cpu::Session::<f64>::new(&graph).run(&[("x", &x)]).unwrap().remove(0);
    Image { shape: y.shape().try_into().unwrap(), data: y.as_real().unwrap().iter().copied().collect() }
}

fn assert_same(what: &str, got: &Image, expected: &Image) {
    assert_eq!(got.shape, expected.shape, "{what}");
    for (got, expected) in got.data.iter().zip(&expected.data) {
        assert!((got - expected).abs() <= 1e-11, "{what}: {got}, not {expected}");
    }
}

/// Splits what is to be padded, or cut off, between begin and end.
fn halves(total: usize, more_at_the_end: bool) -> [usize; 2] {
    if more_at_the_end { [total / 2, total - total / 2] } else { [total - total / 2, total / 2] }
}

/// ONNX, Conv and pools: `output = ceil(input / stride)` for SAME, the odd pixel at the end for UPPER; none for VALID.
fn same(mode: &str, ([kernel, stride, dilation], axis): ([[usize; 2]; 3], usize)) -> [usize; 2] {
    let span = (SIZE[axis].div_ceil(stride[axis]) - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
    match mode {
        "VALID" => [0, 0],
        _ => halves(span.saturating_sub(SIZE[axis]), mode == "SAME_UPPER"),
    }
}

fn pads(mode: &str, kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> [usize; 4] {
    let [[top, bottom], [left, right]] = [0, 1].map(|axis| same(mode, ([kernel, stride, dilation], axis)));
    [top, left, bottom, right]
}

#[test]
fn automatic_padding_of_convolutions_and_pools_is_onnxs() {
    let x = image(1, INPUT);
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        for (kernel, strides, dilations) in WINDOWS {
            let what = format!("{mode} {kernel:?} {strides:?} {dilations:?}");
            let pads = pads(mode, kernel, strides, dilations);
            let (s, d, k) = (ints(strides), ints(dilations), ints(kernel));
            let stated = || [("auto_pad", mode.into()), ("strides", s.clone()), ("dilations", d.clone())];

            let w = image(2, [6, 2, kernel[0], kernel[1]]);
            let attributes: Vec<_> = stated().into_iter().chain([("group", AttributeValue::Int(2))]).collect();
            let expected = definition::conv(&x, &w, &[0.0; 6], Attributes { strides, dilations, pads, group: 2 });
            assert_same(&what, &run("Conv", &x, Some(&w), &attributes), &expected);

            let pool = PoolAttributes {
                kernel_shape: kernel,
                strides,
                dilations,
                pads,
                ceil_mode: false,
                count_include_pad: None,
            };
            let attributes: Vec<_> = stated().into_iter().chain([("kernel_shape", k.clone())]).collect();
            assert_same(&what, &run("MaxPool", &x, None, &attributes), &definition::pool(&x, pool));
            let pool = PoolAttributes { count_include_pad: Some(false), ..pool };
            assert_same(&what, &run("AveragePool", &x, None, &attributes), &definition::pool(&x, pool));
        }
    }
}

/// ONNX, ConvTranspose: SAME makes `output = input * stride`; what exceeds it is cut off.
#[test]
fn automatic_padding_of_transposed_convolutions_is_onnxs() {
    let x = image(3, INPUT);
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        for (kernel, strides, dilations) in WINDOWS {
            let what = format!("{mode} {kernel:?} {strides:?} {dilations:?}");
            let w = image(4, [4, 3, kernel[0], kernel[1]]);
            let full = [0, 1].map(|axis| (SIZE[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1);
            let output = if mode == "VALID" { full } else { [0, 1].map(|axis| SIZE[axis] * strides[axis]) };
            let [[top, bottom], [left, right]] =
                [0, 1].map(|axis| halves(full[axis].saturating_sub(output[axis]), mode == "SAME_UPPER"));
            let a = Attributes { strides, dilations, pads: [top, left, bottom, right], group: 2 };
            let (s, d) = (ints(strides), ints(dilations));
            let attributes = [
                ("auto_pad", mode.into()),
                ("strides", s.clone()),
                ("dilations", d.clone()),
                ("group", AttributeValue::Int(2)),
            ];
            let expected = definition::conv_transpose(&x, &w, &[0.0; 6], a, output);
            assert_same(&what, &run("ConvTranspose", &x, Some(&w), &attributes), &expected);
        }
    }
}

#[test]
fn stated_padding_and_output_sizes_of_transposed_convolutions_are_onnxs() {
    let x = image(5, INPUT);
    let w = image(6, [4, 3, 3, 3]);
    let a = Attributes { strides: [2, 3], dilations: [1, 1], pads: [1, 0, 0, 2], group: 1 };
    let stated = |name, value| [("strides", ints([2, 3])), ("pads", ints([1, 0, 0, 2])), (name, value)];
    // (7 - 1) * 2 + 3 - 1 and (13 - 1) * 3 + 3 - 2.
    let expected = definition::conv_transpose(&x, &w, &[0.0; 3], a, [14, 37]);
    assert_same("pads", &run("ConvTranspose", &x, Some(&w), &stated("group", AttributeValue::Int(1))), &expected);

    let expected = definition::conv_transpose(&x, &w, &[0.0; 3], a, [15, 39]);
    let got = run("ConvTranspose", &x, Some(&w), &stated("output_padding", ints([1, 2])));
    assert_same("output_padding", &got, &expected);

    // Of 15x39, output_shape leaves 12x34: 3 and 5 are cut off, the larger half first.
    let a = Attributes { pads: [2, 3, 1, 2], ..a };
    let expected = definition::conv_transpose(&x, &w, &[0.0; 3], a, [12, 34]);
    let attributes = [("strides", ints([2, 3])), ("output_shape", ints([12, 34]))];
    assert_same("output_shape", &run("ConvTranspose", &x, Some(&w), &attributes), &expected);
}

#[test]
fn rounding_up_and_padding_that_counts_are_read_from_the_file() {
    let x = image(7, INPUT);
    let a = PoolAttributes {
        kernel_shape: [3, 2],
        strides: [2, 3],
        dilations: [1, 1],
        pads: [1, 1, 0, 1],
        ceil_mode: true,
        count_include_pad: Some(true),
    };
    let attributes = [
        ("kernel_shape", ints([3, 2])),
        ("strides", ints([2, 3])),
        ("pads", ints([1, 1, 0, 1])),
        ("ceil_mode", AttributeValue::Int(1)),
        ("count_include_pad", AttributeValue::Int(1)),
    ];
    assert_same("AveragePool", &run("AveragePool", &x, None, &attributes), &definition::pool(&x, a));
}
