//! Infinities, what is no number, what is nearly nothing: as ONNX and the floating-point standard have them.

use super::Case;
use super::bytes::reals;
use reluctor::tensor::Tensor;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

pub fn cases() -> Vec<Case> {
    let of = |op_type: &str, input: &[f32], output: &[f32]| {
        let name = format!("{input:?}");
        Case::node(op_type, &name, &[reals(&[input.len()])], &[]).fed(&[input.len()], input).gives(output)
    };
    let sum = |weights: [f32; 2], input: [f32; 2], output: f32| {
        let weights = Tensor::real(&[1, 2, 1, 1], weights.to_vec()).unwrap();
        Case::node("Conv", &format!("a sum over {input:?}"), &[reals(&[1, 2, 1, 1]), weights], &[])
            .fed(&[1, 2, 1, 1], &input)
            .gives(&[output])
    };
    vec![
        of("Relu", &[NAN, INF, -INF, -0.0, 1e-40, -1e-40], &[NAN, INF, 0.0, 0.0, 1e-40, 0.0]).may(4),
        of("Neg", &[0.0, -0.0, NAN], &[-0.0, 0.0, NAN]),
        of("Abs", &[-0.0, -INF, -1e-45], &[0.0, INF, 1e-45]),
        of("Sigmoid", &[INF, -INF, NAN], &[1.0, 0.0, NAN]),
        of("Tanh", &[INF, -INF, NAN], &[1.0, -1.0, NAN]),
        of("Exp", &[INF, -INF, 1e38], &[INF, 0.0, INF]),
        of("Log", &[0.0, -1.0, INF], &[-INF, NAN, INF]),
        of("Sqrt", &[-1.0, INF, -0.0], &[NAN, INF, -0.0]),
        of("Reciprocal", &[0.0, -0.0, INF], &[INF, -INF, 0.0]),
        of("Softmax", &[INF, 1.0], &[NAN, 0.0]).may(4),
        of("Softmax", &[1e38, -1e38], &[1.0, 0.0]),
        of("Softplus", &[1e38, -1e38, NAN], &[1e38, 0.0, NAN]),
        sum([1.0, 1.0], [3e38, 3e38], INF),
        sum([1e20, 1.0], [1e20, 1.0], INF),
        sum([1.0, 1.0], [INF, -INF], NAN),
        sum([0.0, 1.0], [INF, 1.0], NAN),
        sum([1.0, 1.0], [NAN, 1.0], NAN),
        sum([1.0, 1.0], [1e-40, 1e-40], 1e-40 + 1e-40),
        sum([1.0, -1.0], [16_777_216.0, 16_777_215.0], 1.0),
        sum([1.0, 1.0], [65_504.0, 65_504.0], 131_008.0),
        Case::node("Conv", "a bound that only widens", &[reals(&[1, 2, 1, 1]), reals(&[1, 2, 1, 1])], &[])
            .fed(&[1, 2, 1, 1], &[1e8, -1e8])
            .gives(&[0.0]),
    ]
}
