//! Activations: the one place that lists them. Each has its formula here ([`Activation::apply`]) and as one WGSL function
//! in `shaders/activation/<name>.wgsl`; nothing else knows them apart.

use super::{Activate, OpResult, Problem, unsupported};
use crate::kernels::Part;
use crate::onnx::OnnxNode;
use crate::part;
use crate::tensor::Real;

/// A scalar function applied to each element. Definitions: the ONNX operator of the same name.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    Relu,
    /// x for x >= 0, else alpha x
    LeakyRelu { alpha: f32 },
    /// x for x >= 0, else slope x, with a slope for each channel from the operator's slope input
    PRelu,
    /// x for x > 0, else alpha (exp(x) - 1)
    Elu { alpha: f32 },
    /// gamma times (x for x > 0, else alpha (exp(x) - 1))
    Selu { alpha: f32, gamma: f32 },
    /// max(0, x) + min(0, alpha (exp(x / alpha) - 1))
    Celu { alpha: f32 },
    /// min(max(x, min), max)
    Clip { min: f32, max: f32 },
    /// x for x > alpha, else 0
    ThresholdedRelu { alpha: f32 },
    /// max(0, min(1, alpha x + beta))
    HardSigmoid { alpha: f32, beta: f32 },
    /// x max(0, min(1, x / 6 + 1/2))
    HardSwish,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// tanh(x)
    Tanh,
    /// ln(1 + exp(x))
    Softplus,
    /// x / (1 + |x|)
    Softsign,
    /// x tanh(ln(1 + exp(x)))
    Mish,
    /// x/2 (1 + erf(x / sqrt(2)))
    Gelu,
    /// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    GeluTanh,
    /// x / (1 + exp(-alpha x)); SiLU for alpha = 1
    Swish { alpha: f32 },
}

use Activation::*;

/// One of each, with ONNX's default parameters: what kernels are linked with, tested with and listed from.
pub const ACTIVATIONS: &[Activation] = &[
    Identity,
    Relu,
    LeakyRelu { alpha: 0.01 },
    PRelu,
    Elu { alpha: 1.0 },
    Selu { alpha: SELU_ALPHA, gamma: SELU_GAMMA },
    Celu { alpha: 1.0 },
    Clip { min: 0.0, max: 6.0 },
    ThresholdedRelu { alpha: 1.0 },
    HardSigmoid { alpha: 0.2, beta: 0.5 },
    HardSwish,
    Sigmoid,
    Tanh,
    Softplus,
    Softsign,
    Mish,
    Gelu,
    GeluTanh,
    Swish { alpha: 1.0 },
];

/// Defaults of ONNX's Selu (Klambauer et al., Self-Normalizing Neural Networks, 2017).
const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_GAMMA: f32 = 1.050_701;
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
const GELU_CUBIC: f64 = 0.044_715;

impl Activation {
    /// The name; that of its WGSL file, but for PRelu, which is LeakyRelu with a slope for each channel.
    pub fn name(&self) -> &'static str {
        if *self == PRelu { "prelu" } else { self.stem() }
    }

    /// The stem of its WGSL file.
    pub(super) fn stem(&self) -> &'static str {
        self.part().name
    }

    /// The WGSL files that define `activate` and what it calls.
    pub fn parts(&self) -> Vec<Part> {
        match self {
            Elu { .. } | Selu { .. } | Celu { .. } | Tanh => vec![self.part(), part!("shared", "expm1")],
            _ => vec![self.part()],
        }
    }

    fn part(&self) -> Part {
        match self {
            Identity => part!("activation", "identity"),
            Relu => part!("activation", "relu"),
            LeakyRelu { .. } => part!("activation", "leaky_relu"),
            // A slope for each channel differs from one alpha only in where the parameter comes from.
            PRelu => part!("activation", "leaky_relu"),
            Elu { .. } => part!("activation", "elu"),
            Selu { .. } => part!("activation", "selu"),
            Celu { .. } => part!("activation", "celu"),
            Clip { .. } => part!("activation", "clip"),
            ThresholdedRelu { .. } => part!("activation", "thresholded_relu"),
            HardSigmoid { .. } => part!("activation", "hard_sigmoid"),
            HardSwish => part!("activation", "hard_swish"),
            Sigmoid => part!("activation", "sigmoid"),
            Tanh => part!("activation", "tanh"),
            Softplus => part!("activation", "softplus"),
            Softsign => part!("activation", "softsign"),
            Mish => part!("activation", "mish"),
            Gelu => part!("activation", "gelu"),
            GeluTanh => part!("activation", "gelu_tanh"),
            Swish { .. } => part!("activation", "swish"),
        }
    }

    /// The two numbers that its WGSL function takes beside x.
    pub fn parameters(&self) -> [f32; 2] {
        match *self {
            LeakyRelu { alpha } | Elu { alpha } | Celu { alpha } | ThresholdedRelu { alpha } | Swish { alpha } => {
                [alpha, 0.0]
            }
            Selu { alpha, gamma } => [alpha, gamma],
            Clip { min, max } => [min, max],
            HardSigmoid { alpha, beta } => [alpha, beta],
            _ => [0.0, 0.0],
        }
    }

    /// The formula. `slope` is the channel's, and only PRelu reads it. NaN stays NaN but for
    /// ThresholdedRelu, which ONNX defines to be 0 for all that is not above alpha.
    #[inline(always)]
    pub fn apply<T: Real>(&self, x: T, slope: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        let of = |parameter: f32| T::of(f64::from(parameter));
        let leaky = |alpha: T| if x < zero { alpha * x } else { x };
        let sigmoid = |x: T| if x < zero { x.exp() / (one + x.exp()) } else { one / (one + (-x).exp()) };
        let softplus = |x: T| x.max(zero) + (-x.abs()).exp().ln_1p();
        match *self {
            Identity => x,
            // Not 0 x, which an infinity makes NaN.
            Relu if x < zero => zero,
            Relu => x,
            LeakyRelu { alpha } => leaky(of(alpha)),
            PRelu => leaky(slope),
            Elu { alpha } if x < zero => of(alpha) * x.exp_m1(),
            Elu { .. } => x,
            Selu { alpha, gamma } if x < zero => of(gamma) * of(alpha) * x.exp_m1(),
            Selu { gamma, .. } => of(gamma) * x,
            Celu { alpha } if x < zero => of(alpha) * (x / of(alpha)).exp_m1(),
            Celu { .. } => x,
            Clip { min, max } => clamp(x, of(min), of(max)),
            ThresholdedRelu { alpha } if x > of(alpha) => x,
            ThresholdedRelu { .. } => zero,
            HardSigmoid { alpha, beta } => clamp(of(alpha) * x + of(beta), zero, one),
            HardSwish => x * clamp(x / T::of(6.0) + T::of(0.5), zero, one),
            Sigmoid => sigmoid(x),
            Tanh => x.tanh(),
            Softplus if x.is_nan() => x,
            Softplus => softplus(x),
            Softsign => x / (one + x.abs()),
            Mish if x.is_nan() => x,
            Mish => x * softplus(x).tanh(),
            Gelu => T::of(0.5 * x.f64() * libm::erfc(-x.f64() / std::f64::consts::SQRT_2)),
            GeluTanh => x * sigmoid(T::of(2.0 * gelu_tanh_argument(x.f64()))),
            Swish { alpha } => x * sigmoid(of(alpha) * x),
        }
    }

    /// The formula for each of many numbers. Those which are cheap are matched once for all, so that their loops vectorize.
    #[inline(always)]
    pub fn apply_all<T: Real>(&self, values: &mut [T], slope: T) {
        macro_rules! each {
            ($activation:expr) => {
                values.iter_mut().for_each(|x| *x = $activation.apply(*x, slope))
            };
        }
        match *self {
            Identity => {}
            Relu => each!(Relu),
            LeakyRelu { alpha } => each!(LeakyRelu { alpha }),
            PRelu => each!(PRelu),
            Clip { min, max } => each!(Clip { min, max }),
            HardSigmoid { alpha, beta } => each!(HardSigmoid { alpha, beta }),
            HardSwish => each!(HardSwish),
            _ => each!(self),
        }
    }

    /// Whether it is affine on each side of finitely many points: such networks consist of linear pieces.
    pub fn is_piecewise_linear(&self) -> bool {
        matches!(
            self,
            Identity | Relu | LeakyRelu { .. } | PRelu | Clip { .. } | ThresholdedRelu { .. } | HardSigmoid { .. }
        )
    }

    /// Reads an ONNX node of one of these operators. PRelu has a tensor for its slope, and is read by [`super::Binary`].
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let activation = match node.op_type() {
            "Relu" => Relu,
            "LeakyRelu" => LeakyRelu { alpha: node.float("alpha", 0.01)? },
            "Elu" => Elu { alpha: node.float("alpha", 1.0)? },
            // Before opset 6 the defaults had fewer digits.
            "Selu" if node.opset() < 6 => {
                Selu { alpha: node.float("alpha", 1.6732)?, gamma: node.float("gamma", 1.0507)? }
            }
            "Selu" => Selu { alpha: node.float("alpha", SELU_ALPHA)?, gamma: node.float("gamma", SELU_GAMMA)? },
            "Celu" => Celu { alpha: nonzero(node.float("alpha", 1.0)?)? },
            "Clip" => clip(node)?,
            "ThresholdedRelu" => ThresholdedRelu { alpha: node.float("alpha", 1.0)? },
            "HardSigmoid" => HardSigmoid { alpha: node.float("alpha", 0.2)?, beta: node.float("beta", 0.5)? },
            "HardSwish" => HardSwish,
            "Sigmoid" => Sigmoid,
            "Tanh" => Tanh,
            "Softplus" => Softplus,
            "Softsign" => Softsign,
            "Mish" => Mish,
            "Gelu" => match node.string("approximate", "none")?.as_str() {
                "none" => Gelu,
                "tanh" => GeluTanh,
                other => return super::invalid(format!("approximate '{other}' is neither none nor tanh")),
            },
            "Swish" => Swish { alpha: node.float("alpha", 1.0)? },
            other => return unsupported(format!("'{other}' is not an activation")),
        };
        node.finish(Activate { activation }, &[0])
    }
}

/// Clip took its bounds as attributes before opset 11, and as optional scalar inputs since.
fn clip(node: &mut OnnxNode<'_>) -> OpResult<Activation> {
    if node.opset() < 11 {
        return Ok(Clip { min: node.float("min", f32::MIN)?, max: node.float("max", f32::MAX)? });
    }
    let min = node.constant_scalar(1)?.unwrap_or(f32::MIN);
    let max = node.constant_scalar(2)?.unwrap_or(f32::MAX);
    Ok(Clip { min, max })
}

fn nonzero(alpha: f32) -> OpResult<f32> {
    if alpha == 0.0 { Err(Problem::Invalid("Celu divides by its alpha, which is 0".into())) } else { Ok(alpha) }
}

/// ONNX's order: the lower bound first, so that max wins where the bounds cross. NaN stays NaN.
pub(super) fn clamp<T: Real>(x: T, low: T, high: T) -> T {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// What the tanh of GELU's approximation is taken of.
pub(super) fn gelu_tanh_argument(x: f64) -> f64 {
    SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)
}

/// Each activation, once.
pub(crate) fn activation_parts() -> Vec<Vec<Part>> {
    ACTIVATIONS.iter().filter(|&&activation| activation != PRelu).map(Activation::parts).collect()
}

#[cfg(test)]
mod tests {
    use super::super::first_real;
    use super::*;
    use crate::ops::Operator;
    use crate::tensor::Tensor;

    #[test]
    fn each_activation_but_thresholded_relu_keeps_nan() {
        for activation in ACTIVATIONS {
            let keeps = !matches!(activation, ThresholdedRelu { .. });
            assert_eq!(activation.apply(f64::NAN, 0.25).is_nan(), keeps, "{activation:?}");
        }
        assert_eq!(ThresholdedRelu { alpha: 1.0 }.apply(f64::NAN, 0.0), 0.0);
    }

    #[test]
    fn infinities_have_their_limits() {
        let infinity = f64::INFINITY;
        let cases = [
            (Relu, 0.0, infinity),
            (LeakyRelu { alpha: 0.5 }, -infinity, infinity),
            (Elu { alpha: 2.0 }, -2.0, infinity),
            (Clip { min: -1.0, max: 2.0 }, -1.0, 2.0),
            (ThresholdedRelu { alpha: 1.0 }, 0.0, infinity),
            (HardSigmoid { alpha: 0.2, beta: 0.5 }, 0.0, 1.0),
            (Sigmoid, 0.0, 1.0),
            (Tanh, -1.0, 1.0),
            (Softplus, 0.0, infinity),
        ];
        for (activation, low, high) in cases {
            let limits = [-infinity, infinity].map(|x| activation.apply(x, 0.0));
            assert_eq!(limits, [low, high], "{activation:?}");
        }
    }

    #[test]
    fn known_values_of_the_definitions() {
        let cases = [
            (Elu { alpha: 2.0 }, -1.0, 2.0 * ((-1.0f64).exp() - 1.0)),
            (Celu { alpha: -1.0 }, -5.0, 1.0 - 5.0f64.exp()),
            (Celu { alpha: 2.0 }, -1.0, 2.0 * ((-0.5f64).exp() - 1.0)),
            (Clip { min: 3.0, max: 1.0 }, 2.0, 1.0),
            (Mish, 1.0, 0.865_098_388_267_310_4),
            (Gelu, 1.0, 0.841_344_746_068_542_9),
            (GeluTanh, 1.0, 0.841_191_990_608_276_7),
            (Swish { alpha: 1.0 }, 1.0, 0.731_058_578_630_004_9),
            (Softplus, -800.0, 0.0),
            (Sigmoid, -800.0, 0.0),
        ];
        for (activation, x, expected) in cases {
            let y: f64 = activation.apply(x, 0.0);
            assert!((y - expected).abs() < 1e-12, "{activation:?}({x}) = {y}, not {expected}");
        }
    }

    #[test]
    fn an_activation_alone_maps_each_element() {
        let x = Tensor::real(&[2], vec![-1.0, 2.0]).unwrap();
        let y = Activate { activation: Relu }.reference::<f64>(&[Some(&x)]).unwrap();
        assert_eq!(first_real(y).unwrap().as_slice().unwrap(), [0.0, 2.0]);
    }
}
