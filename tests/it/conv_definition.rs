//! The CPU executor's convolutions against seven plain loops.

use crate::definition::{self, Attributes, Image};
use reluctor::ops::window::{AutoPad, Pads, Window, resolve_padding};
use reluctor::ops::{ConvTranspose, Epilogue, Op};
use reluctor::tensor::Tensor;
use reluctor_testing::random::{Numbers, Random};
use reluctor_testing::shapes::{ConvShape, conv_shapes, window};

/// Inputs for one convolution: image, filters, bias.
struct Given {
    x: Image,
    w: Image,
    bias: Image,
}

impl Given {
    fn random(seed: usize, input: [usize; 4], filters: [usize; 4], out_c: usize) -> Self {
        let mut random = Random::new(seed as u64);
        let mut image = |shape: [usize; 4]| {
            let data = (0..shape.iter().product()).map(|_| f64::from(random.number(Numbers::Reals))).collect();
            Image { shape, data }
        };
        Given { x: image(input), w: image(filters), bias: image([out_c, 1, 1, 1]) }
    }

    /// The same in absolute values: what every rounding error is in proportion to.
    fn magnitudes(&self) -> Self {
        let absolute = |image: &Image| Image { data: image.data.iter().map(|x| x.abs()).collect(), ..image.clone() };
        Given { x: absolute(&self.x), w: absolute(&self.w), bias: absolute(&self.bias) }
    }

    fn run<T: reluctor::tensor::Real>(&self, op: &Op) -> (Vec<usize>, Vec<f64>) {
        let tensor =
            |image: &Image| Tensor::real(&image.shape, image.data.iter().map(|&x| T::of(x)).collect()).unwrap();
        let bias = tensor(&self.bias).reshape(&[self.bias.shape[0]]).unwrap();
        let (x, w) = (tensor(&self.x), tensor(&self.w));
        let outputs = op.reference(&[Some(&x), Some(&w), Some(&bias)]).map_err(|problem| problem.at("conv")).unwrap();
        let output = outputs[0].as_real().unwrap();
        (output.shape().to_vec(), output.iter().map(|x| x.f64()).collect())
    }

    /// Holds the executor against a definition: f64 to 1e-12 of the magnitudes, f32 to its own rounding.
    fn check(&self, op: &Op, definition: impl Fn(&Given) -> Image) {
        let (expected, magnitudes) = (definition(self), definition(&self.magnitudes()));
        for ((shape, got), tolerance) in [(self.run::<f64>(op), 1e-12), (self.run::<f32>(op), 1e-4)] {
            assert_eq!(shape, expected.shape, "{op}");
            for ((got, expected), magnitude) in got.iter().zip(&expected.data).zip(&magnitudes.data) {
                assert!((got - expected).abs() <= tolerance * magnitude, "{got}, not {expected}: {op}");
            }
        }
    }
}

fn attributes(window: Window, group: usize) -> Attributes {
    let Window { stride, dilation, pads, .. } = window;
    Attributes { strides: stride, dilations: dilation, pads: [pads.top, pads.left, pads.bottom, pads.right], group }
}

fn check_conv(seed: usize, shape: &ConvShape) {
    let given = Given::random(seed, shape.input(), shape.filters(), shape.out_c);
    let attributes = attributes(shape.window, shape.groups);
    let op = shape.conv(Epilogue::default()).into();
    given.check(&op, |g| definition::conv(&g.x, &g.w, &g.bias.data, attributes));
}

fn check_conv_transpose(seed: usize, shape: &ConvShape, op: ConvTranspose) {
    let given = Given::random(seed, shape.input(), shape.transposed_filters(), shape.out_c);
    let attributes = attributes(shape.window, shape.groups);
    let output = op.output;
    given.check(&op.into(), |g| definition::conv_transpose(&g.x, &g.w, &g.bias.data, attributes, output));
}

#[test]
fn convolution_is_what_seven_loops_say() {
    for (seed, shape) in conv_shapes().iter().enumerate() {
        check_conv(seed, shape);
    }
}

#[test]
fn transposed_convolution_is_what_scattering_says() {
    for (seed, shape) in conv_shapes().iter().enumerate() {
        check_conv_transpose(seed, shape, shape.conv_transpose(Epilogue::default()));
    }
}

#[test]
fn transposed_convolution_may_have_rows_that_no_input_reaches() {
    let window = window([2, 2], [3, 4], [1, 1], [1, 0, 0, 1]);
    let shape = ConvShape { batch: 2, in_c: 4, out_c: 6, groups: 2, image: [3, 5], window };
    let plain = shape.conv_transpose(Epilogue::default());
    let output = [plain.output[0] + 2, plain.output[1] + 3];
    check_conv_transpose(1, &shape, ConvTranspose { output, ..plain });
}

/// ONNX: `SAME_UPPER` and `SAME_LOWER` pad so that `output = ceil(input / stride)`, split between both sides, and put an odd
/// pixel at the end or at the beginning.
#[test]
fn automatic_padding_places_windows_as_onnx_says() {
    let kinds = [AutoPad::SameUpper, AutoPad::SameLower, AutoPad::Valid];
    for (seed, (kernel, stride, dilation)) in
        [([3, 3], 1, 1), ([2, 4], 1, 1), ([3, 2], 2, 1), ([3, 3], 2, 2), ([2, 2], 3, 1)].into_iter().enumerate()
    {
        for kind in kinds {
            let image = [7, 13];
            let pads = resolve_padding(kind, Pads::default(), image, kernel, [stride; 2], [dilation; 2]);
            let expected = [0, 1].map(|axis| {
                let total = (image[axis].div_ceil(stride) - 1) * stride + (kernel[axis] - 1) * dilation + 1;
                let total = total.saturating_sub(image[axis]);
                match kind {
                    AutoPad::SameUpper => [total / 2, total - total / 2],
                    AutoPad::SameLower => [total - total / 2, total / 2],
                    _ => [0, 0],
                }
            });
            assert_eq!([[pads.top, pads.bottom], [pads.left, pads.right]], expected, "{kind:?} {kernel:?}");
            let window = Window { kernel, stride: [stride; 2], dilation: [dilation; 2], pads };
            check_conv(seed, &ConvShape { batch: 1, in_c: 2, out_c: 3, groups: 1, image, window });
        }
    }
}

#[test]
#[should_panic(expected = "not")]
fn a_definition_with_its_padding_off_by_one_is_told_apart() {
    let shape = conv_shapes()[0];
    let given = Given::random(1, shape.input(), shape.filters(), shape.out_c);
    let shifted = Attributes { pads: [2, 1, 0, 1], ..attributes(shape.window, 1) };
    let op = shape.conv(Epilogue::default()).into();
    given.check(&op, |g| definition::conv(&g.x, &g.w, &g.bias.data, shifted));
}
