//! Activations that stand alone, arithmetic of two tensors and batch normalization, each with every activation.

use super::Limited;
use reluctor::ops::activation::ACTIVATIONS;
use reluctor::ops::binary::BINARY_FUNCTIONS;
use reluctor::ops::epilogue::Epilogue;
use reluctor::ops::unary::UNARY_FUNCTIONS;
use reluctor::ops::window::Window;
use reluctor::ops::{Activate, Activation, BatchNormalization, Binary, BinaryFunction, Conv, Unary, UnaryFunction};
use reluctor::plan::Limits;
use reluctor::tensor::Tensor;
use reluctor_testing::build::Build;

/// Pairs that broadcast: alike, channels, rows, a scalar, both sides, all of both sides, more dimensions on one side, eight dimensions.
const PAIRS: [[&[usize]; 2]; 9] = [
    [&[2, 3, 7, 13], &[2, 3, 7, 13]],
    [&[2, 3, 7, 13], &[3, 1, 1]],
    [&[3, 5, 7, 13], &[3, 1, 7, 1]],
    [&[1, 1, 7, 13], &[1]],
    [&[4, 1, 5], &[1, 3, 1]],
    [&[3, 1, 1], &[1, 5, 1]],
    [&[65], &[2, 3, 65]],
    [&[2, 1, 2, 1, 2, 1, 2, 3], &[1, 2, 1, 2, 1, 2, 1, 3]],
    [&[9, 17], &[9, 1]],
];

/// Pairs that four neighbouring numbers are computed of at once: alike, channels on either side, rows, a scalar, both sides,
/// more dimensions on one side, as many channels as are no multiple of four, eight dimensions, and four numbers in all.
const FOURS: [[&[usize]; 2]; 10] = [
    [&[2, 3, 4, 7], &[2, 3, 4, 7]],
    [&[2, 3, 4, 8], &[3, 1, 1]],
    [&[3, 1, 1], &[2, 3, 2, 6]],
    [&[3, 5, 7, 12], &[3, 1, 7, 1]],
    [&[1, 2, 7, 2], &[1]],
    [&[3, 1, 8], &[1, 5, 1]],
    [&[68], &[2, 3, 68]],
    [&[5, 1], &[5, 12]],
    [&[2, 1, 2, 1, 2, 1, 2, 4], &[1, 2, 1, 2, 1, 2, 1, 4]],
    [&[4], &[4]],
];

pub fn cases() -> Vec<Limited> {
    let mut cases = vec![activations(), batch_normalizations(), unaries(), powers()];
    cases.extend(BINARY_FUNCTIONS.map(binaries));
    cases.into_iter().map(|build| (build.done_all(), Limits::default())).collect()
}

fn plain() -> impl Iterator<Item = (usize, Activation)> {
    ACTIVATIONS.iter().copied().enumerate().filter(|&(_, activation)| activation != Activation::PRelu)
}

fn activations() -> Build {
    let mut build = Build::new(1);
    for (index, activation) in plain() {
        for shape in [[1 + index % 3, 3, 7, 13], [1 + index % 3, 3, 2, 2 + 4 * (index % 2)]] {
            let x = build.input(&shape);
            build.node(&format!("{} {shape:?}", activation.name()), Activate { activation }, &[Some(x)]);
        }
    }
    // Other parameters than the defaults.
    let others = [
        Activation::LeakyRelu { alpha: 0.3 },
        Activation::Elu { alpha: 2.0 },
        Activation::Celu { alpha: 2.0 },
        Activation::Celu { alpha: -0.5 },
        Activation::Clip { min: -0.5, max: 0.25 },
        Activation::HardSigmoid { alpha: 0.5, beta: 0.25 },
        Activation::Swish { alpha: 1.7 },
        Activation::ThresholdedRelu { alpha: 0.5 },
    ];
    for activation in others {
        let x = build.input(&[911]);
        build.node(&format!("{activation:?}"), Activate { activation }, &[Some(x)]);
    }
    build
}

fn unaries() -> Build {
    let mut build = Build::new(8);
    for function in UNARY_FUNCTIONS {
        use UnaryFunction::{Log, Reciprocal, Sqrt};
        let positive = matches!(function, Log | Sqrt | Reciprocal);
        for shape in [&[2, 3, 7, 13][..], &[65], &[2, 3, 4, 9]] {
            let x = if positive { build.positive(shape) } else { build.input(shape) };
            build.node(&format!("{function:?} {shape:?}"), Unary { function }, &[Some(x)]);
        }
    }
    build
}

/// Powers of what WGSL's own `pow` leaves open: negative bases, and zero.
fn powers() -> Build {
    let mut build = Build::new(9);
    let bases = Tensor::real(&[6, 1], vec![-2.5, -1.0, -0.0, 0.0, 0.75, 3.0]).unwrap();
    let exponents = Tensor::real(&[6], vec![0.0, 1.0, 2.0, 3.0, 7.0, 30.0]).unwrap();
    let (a, b) = (build.input_of(bases), build.input_of(exponents));
    let op = Binary { function: BinaryFunction::Pow, activation: Activation::Identity };
    build.node("whole powers", op, &[Some(a), Some(b)]);
    build
}

fn batch_normalizations() -> Build {
    let mut build = Build::new(2);
    for (index, activation) in plain() {
        let channels = [1, 3, 9, 17, 65][index % 5];
        let numbers = build.input([[2, channels, 7, 3].as_slice(), &[3, channels], &[1, channels, 31]][index % 3]);
        let fours = build.input([[2, channels, 7, 4].as_slice(), &[1, channels, 32]][index % 2]);
        // By four channels: behind a convolution of one tap a channel.
        let image = build.input(&[2, channels, 7, 3]);
        let filters = build.constant(&[channels, 1, 1, 1]);
        let depthwise = Conv { window: Window::pointwise(), groups: channels, epilogue: Epilogue::default() };
        let behind =
            build.node(&format!("conv before {}", activation.name()), depthwise, &[Some(image), Some(filters)]);
        for (x, lies) in [(numbers, "one by one"), (fours, "in fours"), (behind, "by four channels")] {
            let [scale, bias, mean] = [(); 3].map(|()| Some(build.constant(&[channels])));
            let variance = Some(build.positive(&[channels]));
            let op = BatchNormalization { epsilon: 1e-5, after: None, activation };
            build.node(&format!("{} {lies}", activation.name()), op, &[Some(x), scale, bias, mean, variance]);
        }
    }
    build
}

fn binaries(function: BinaryFunction) -> Build {
    let mut build = Build::new(3);
    let of = |pairs: &[[&'static [usize]; 2]], index: usize| pairs[index % pairs.len()];
    let each =
        plain().flat_map(|(index, activation)| [(activation, of(&PAIRS, index)), (activation, of(&FOURS, index))]);
    for (activation, [a, b]) in each {
        // A slope must broadcast to the input, and not the other way round; and a quotient needs a divisor.
        let swap = function == BinaryFunction::PRelu && a.len() < b.len();
        let [a, b] = if swap { [b, a] } else { [a, b] };
        let a = if function == BinaryFunction::PRelu { largest(a, b) } else { a.to_vec() };
        let x = if function == BinaryFunction::Pow { build.positive(&a) } else { build.input(&a) };
        let y = if function == BinaryFunction::Div { build.positive(b) } else { build.input(b) };
        let name = format!("{} {:?}", activation.name(), [&a, b]);
        build.node(&name, Binary { function, activation }, &[Some(x), Some(y)]);
    }
    build
}

fn largest(a: &[usize], b: &[usize]) -> Vec<usize> {
    let missing = a.len() - b.len();
    (0..a.len()).map(|axis| a[axis].max(if axis < missing { 1 } else { b[axis - missing] })).collect()
}
