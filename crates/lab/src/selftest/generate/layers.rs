//! What a random node may be, for an input of a given shape.

use super::{CHANNELS, Constant, Generator, Id, Numbers, Proposal};
use reluctor::onnx::AttributeValue;
use reluctor::random::Random;
use reluctor::tensor::Tensor;

pub(super) type Attributes = Vec<(&'static str, AttributeValue)>;

/// Activations without attributes, then those with, by name.
const ACTIVATIONS: [&str; 18] = [
    "Relu",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "Mish",
    "HardSwish",
    "Gelu",
    "LeakyRelu",
    "Elu",
    "Celu",
    "Selu",
    "ThresholdedRelu",
    "HardSigmoid",
    "Swish",
    "Clip",
    "PRelu",
    "Relu",
];

/// Operators that others are fused into, and, with activations, those that may stand between.
const FUSIBLE: [&str; 17] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Gemm",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "Resize",
    "Slice",
    "Transpose",
];

/// Functions of one number that are defined everywhere.
const FUNCTIONS: [&str; 8] = ["Abs", "Neg", "Exp", "Erf", "Floor", "Ceil", "Round", "Sign"];
/// Those that want a positive one.
const POSITIVE_FUNCTIONS: [&str; 3] = ["Sqrt", "Log", "Reciprocal"];
/// Operators whose results are at least a small positive number, or positive.
const POSITIVE: [&str; 3] = ["Exp", "Softplus", "Sigmoid"];

impl Generator {
    pub(super) fn propose(&mut self) -> Option<Proposal> {
        let (x, shape) = self.value();
        if self.network.numbers == Numbers::Integers {
            return self.exact(x, &shape);
        }
        let image = shape.len() >= 3;
        if self.is_chain && self.network.layers.is_empty() {
            return Some(match self.random.below(8) {
                0..2 if image => self.conv(x, &shape),
                2..4 if image => self.same_conv(x, &shape),
                4 if image => self.conv_transpose(x, &shape),
                5 if image => self.image_only(x, &shape),
                6 => self.normalization(x, &shape),
                _ => self.product(x, &shape),
            });
        }
        let made_by = self.network.layers.last().filter(|layer| layer.id == x).map(|layer| layer.op_type);
        if made_by.is_some_and(|op_type| POSITIVE.contains(&op_type)) && self.random.once_in(8) {
            return self.function(x);
        }
        let fusible = |op_type| FUSIBLE.contains(&op_type) || ACTIVATIONS.contains(&op_type);
        if made_by.is_some_and(fusible) && (self.is_chain || self.random.once_in(2)) {
            return self.epilogue(x, &shape);
        }
        let proposal = match self.random.below(40) {
            0..8 if image => self.conv(x, &shape),
            8..10 if image => self.conv_transpose(x, &shape),
            10..14 if image => self.pool(x, &shape),
            14..16 if image => self.image_only(x, &shape),
            0..6 => self.product(x, &shape),
            6..10 => self.normalization(x, &shape),
            10..22 => self.activation(x, &shape),
            22..28 => return self.combination(x, &shape),
            28..31 => self.normalization(x, &shape),
            31..33 => self.reduction(x, &shape),
            33 => self.product(x, &shape),
            34..36 => return self.function(x),
            _ => return self.moved(x, &shape),
        };
        Some(proposal)
    }

    /// What may stand behind a convolution or the like, in any order, whatever passes expect.
    fn epilogue(&mut self, x: Id, shape: &[usize]) -> Option<Proposal> {
        let image = shape.len() > 2;
        Some(match self.random.below(20) {
            0..3 => self.batch_normalization(x),
            3..7 => self.with_constant(x, shape),
            7..9 => {
                let mut others = self.alike(shape, None);
                if others.len() > 1 && !self.random.once_in(4) {
                    others.retain(|&other| other != x);
                }
                let other = self.random.pick(&others);
                Proposal { inputs: vec![x, other], ..of(self.random.pick(&["Add", "Add", "Mul"]), x) }
            }
            9 => {
                let gates = self.broadcast_to(shape);
                let gate = self.random.pick(&gates);
                Proposal { inputs: vec![x, gate], ..of(self.random.pick(&["Add", "Mul"]), x) }
            }
            10..12 if image => self.pool(x, shape),
            12 if image => self.image_only(x, shape),
            13 => return self.moved(x, shape),
            14 => return self.combination(x, shape),
            // One more of them, as in networks.
            15..17 if image => self.same_conv(x, shape),
            _ => self.activation(x, shape),
        })
    }

    /// The sum, difference or product with a constant of any shape that broadcasts.
    fn with_constant(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let axes = match self.random.below(4) {
            0 => vec![1],
            1 => vec![],
            _ => (0..shape.len()).filter(|_| self.random.once_in(2)).collect(),
        };
        let constants = vec![Constant::Along { axes, range: -1.5..1.5 }];
        Proposal { constants, ..of(self.random.pick(&["Add", "Add", "Mul", "Mul", "Sub"]), x) }
    }

    /// Operators that make whole numbers of whole numbers, and none smaller by magnitude of larger ones.
    fn exact(&mut self, x: Id, shape: &[usize]) -> Option<Proposal> {
        let image = shape.len() >= 3;
        Some(match self.random.below(20) {
            0..5 if image => self.conv(x, shape),
            5..7 if image => self.conv_transpose(x, shape),
            7 | 8 if image => {
                let pool = Proposal { op_type: "MaxPool", ..self.pool(x, shape) };
                pool.without("count_include_pad").without("p")
            }
            9 if shape.len() == 4 => of("GlobalMaxPool", x),
            0..5 => self.product(x, shape).without("alpha").without("beta"),
            5..13 => of("Relu", x),
            13..15 => {
                let op_type = self.random.pick(&["ReduceMax", "ReduceSum"]);
                Proposal { op_type, ..self.reduction(x, shape) }
            }
            15..18 => {
                let other = self.random.pick(&self.alike(shape, None));
                let op_type = self.random.pick(&["Add", "Sum", "Max", "Mul"]);
                Proposal { inputs: vec![x, other], ..of(op_type, x) }
            }
            18 if self.network.layers.len() > 1 => Proposal {
                constants: vec![Constant::Channels { ones: shape.len() - 2, range: 0.0..1.0 }],
                ..of(self.random.pick(&["Add", "PRelu"]), x)
            },
            _ => return self.moved(x, shape).filter(|moved| moved.op_type != "Resize"),
        })
    }

    fn conv(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let channels = shape[1];
        let (kernel, mut attributes) = self.window(&shape[2..], 5);
        let group = self.group(channels);
        let out = group * self.random.pick(&CHANNELS).div_ceil(group);
        attributes.extend([("kernel_shape", ints(&kernel)), ("group", (group as i64).into())]);
        Proposal { constants: self.with_bias(Constant::Filters { out }), attributes, ..of("Conv", x) }
    }

    /// A convolution whose result is as large as its input, so that the input can be added to it.
    fn same_conv(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let dims = shape.len() - 2;
        let half = self.random.below(2);
        let group = self.group(shape[1]);
        let attributes = vec![
            ("kernel_shape", ints(&vec![2 * half + 1; dims])),
            ("pads", ints(&vec![half; 2 * dims])),
            ("group", (group as i64).into()),
        ];
        Proposal { constants: self.with_bias(Constant::Filters { out: shape[1] }), attributes, ..of("Conv", x) }
    }

    fn conv_transpose(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let dims = shape.len() - 2;
        let each = |random: &mut Random, last| -> Vec<usize> { (0..dims).map(|_| random.between(1, last)).collect() };
        let (kernel, strides) = (each(&mut self.random, 4), each(&mut self.random, 3));
        let dilations = each(&mut self.random, 2);
        let group = self.group(shape[1]);
        let out = group * self.random.pick(&CHANNELS).div_ceil(group);
        let mut attributes =
            vec![("kernel_shape", ints(&kernel)), ("strides", ints(&strides)), ("group", (group as i64).into())];
        if self.random.once_in(3) {
            attributes.push(("dilations", ints(&dilations)));
        }
        let dilations = if attributes.len() > 3 { dilations } else { vec![1; dims] };
        let extent = |axis: usize| (kernel[axis] - 1) * dilations[axis] + 1;
        match self.random.below(5) {
            0 => attributes.push(("auto_pad", self.random.pick(&["SAME_UPPER", "SAME_LOWER", "VALID"]).into())),
            1 => {
                let wanted = |axis: usize| (shape[2 + axis] - 1) * strides[axis] + extent(axis);
                let sizes: Vec<usize> = (0..dims).map(|axis| wanted(axis).div_ceil(1 + self.random.below(2))).collect();
                attributes.push(("output_shape", ints(&sizes)));
            }
            2 | 3 => {
                // Both sides together leave one row and column at least.
                let pads: Vec<usize> =
                    (0..2 * dims).map(|at| self.random.between(0, (extent(at % dims) - 1) / 2)).collect();
                attributes.push(("pads", ints(&pads)));
                let most = |axis: usize| strides[axis].max(dilations[axis]) - 1;
                let extra: Vec<usize> = (0..dims).map(|axis| self.random.between(0, most(axis))).collect();
                attributes.push(("output_padding", ints(&extra)));
            }
            _ => {}
        }
        Proposal {
            constants: self.with_bias(Constant::TransposedFilters { out }),
            attributes,
            ..of("ConvTranspose", x)
        }
    }

    fn pool(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let op_type = self.random.pick(&["MaxPool", "MaxPool", "AveragePool", "AveragePool", "LpPool"]);
        let (kernel, mut attributes) = self.window(&shape[2..], 4);
        attributes.push(("kernel_shape", ints(&kernel)));
        if op_type != "LpPool" && self.random.once_in(3) {
            attributes.push(("ceil_mode", 1.into()));
        }
        if op_type == "AveragePool" && self.random.once_in(2) {
            attributes.push(("count_include_pad", 1.into()));
        }
        if op_type == "LpPool" {
            attributes.push(("p", (self.random.between(1, 3) as i64).into()));
        }
        Proposal { attributes, ..of(op_type, x) }
    }

    /// A window that fits its padded image: kernel sizes, and strides, dilations and padding as attributes.
    fn window(&mut self, image: &[usize], most: usize) -> (Vec<usize>, Attributes) {
        let dims = image.len();
        let random = &mut self.random;
        let mut kernel: Vec<usize> = (0..dims).map(|_| random.between(1, most)).collect();
        let strides: Vec<usize> = (0..dims).map(|_| random.between(1, 3)).collect();
        let mut dilations = vec![1; dims];
        if random.once_in(3) {
            dilations.fill_with(|| random.between(1, 3));
        }
        let mut attributes = Vec::new();
        let mut pads = vec![0; 2 * dims];
        let automatic = random.once_in(5);
        if automatic {
            attributes.push(("auto_pad", random.pick(&["SAME_UPPER", "SAME_LOWER", "VALID"]).into()));
        } else if !random.once_in(4) {
            (0..2 * dims).for_each(|at| pads[at] = random.between(0, kernel[at % dims] - 1));
        }
        for axis in 0..dims {
            let padded = |kernel: usize| image[axis] + pads[axis].min(kernel - 1) + pads[dims + axis].min(kernel - 1);
            while (kernel[axis] - 1) * dilations[axis] + 1 > padded(kernel[axis]) {
                if dilations[axis] > 1 { dilations[axis] -= 1 } else { kernel[axis] -= 1 }
            }
            // Padding beyond the kernel makes windows of nothing but padding.
            for at in [axis, dims + axis] {
                pads[at] = pads[at].min(kernel[axis] - 1);
            }
        }
        attributes.extend([("strides", ints(&strides)), ("dilations", ints(&dilations))]);
        if !automatic {
            attributes.push(("pads", ints(&pads)));
        }
        (kernel, attributes)
    }

    fn image_only(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let numbers = Constant::Channels { ones: 0, range: -1.0..1.0 };
        match self.random.below(4) {
            0 if shape.len() == 4 => of(self.random.pick(&["GlobalAveragePool", "GlobalMaxPool"]), x),
            1 => Proposal { constants: vec![numbers.clone(), numbers], ..of("InstanceNormalization", x) },
            2 => {
                let attributes = vec![("num_groups", (self.group(shape[1]) as i64).into())];
                Proposal { constants: vec![numbers.clone(), numbers], attributes, ..of("GroupNormalization", x) }
            }
            _ => {
                let alpha = self.random.real(&(0.0..0.1));
                let size = self.random.between(1, 5) as i64;
                Proposal { attributes: vec![("size", size.into()), ("alpha", alpha.into())], ..of("LRN", x) }
            }
        }
    }

    fn product(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let matrix = Constant::Matrix { out: self.random.pick(&CHANNELS) };
        if shape.len() != 2 || self.random.once_in(3) {
            return Proposal { constants: vec![matrix], ..of("MatMul", x) };
        }
        let mut attributes = Vec::new();
        for flag in ["transA", "transB"] {
            if self.random.once_in(3) {
                attributes.push((flag, 1.into()));
            }
        }
        for factor in ["alpha", "beta"] {
            if self.random.once_in(3) {
                attributes.push((factor, self.random.real(&(-2.0..2.0)).into()));
            }
        }
        Proposal { constants: self.with_bias(matrix), attributes, ..of("Gemm", x) }
    }

    fn activation(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let op_type = self.random.pick(&ACTIVATIONS);
        let real = self.random.real(&(0.05..1.5));
        let attributes: Attributes = match op_type {
            "LeakyRelu" | "Elu" | "Celu" | "ThresholdedRelu" | "Swish" if !self.random.once_in(3) => {
                vec![("alpha", real.into())]
            }
            "HardSigmoid" => vec![("alpha", real.into()), ("beta", 0.25.into())],
            "Selu" if self.random.once_in(2) => vec![("alpha", real.into()), ("gamma", 1.25.into())],
            "Gelu" if self.random.once_in(2) => vec![("approximate", "tanh".into())],
            _ => vec![],
        };
        let constants = match op_type {
            "Clip" => {
                let mut bounds = vec![Constant::Given(scalar(-real)), Constant::Given(scalar(real * real))];
                if self.random.once_in(3) {
                    bounds[self.random.below(2)] = Constant::Absent;
                }
                bounds
            }
            "PRelu" if self.random.once_in(4) => vec![Constant::Given(scalar(real))],
            "PRelu" => vec![Constant::Channels { ones: shape.len() - 2, range: -1.0..1.0 }],
            _ => vec![],
        };
        Proposal { constants, attributes, ..of(op_type, x) }
    }

    /// Two or three values, or a value and a constant.
    fn combination(&mut self, x: Id, shape: &[usize]) -> Option<Proposal> {
        if self.random.once_in(4) {
            let axis = self.random.between(0, 3).min(shape.len() - 1).max(usize::from(!self.random.once_in(6)));
            let others = self.alike(shape, Some(axis));
            let inputs = (0..self.random.between(1, 2)).map(|_| self.random.pick(&others));
            let inputs = [x].into_iter().chain(inputs).collect();
            return Some(Proposal { inputs, attributes: vec![("axis", (axis as i64).into())], ..of("Concat", x) });
        }
        if self.random.once_in(3) {
            let (op_type, range) = self.random.pick(&[
                ("Add", [-2.0, 2.0]),
                ("Sub", [-2.0, 2.0]),
                ("Mul", [-2.0, 2.0]),
                ("Div", [0.5, 2.0]),
            ]);
            let constant = match self.random.below(3) {
                0 => Constant::Given(scalar(self.random.real(&(range[0]..range[1])))),
                _ => Constant::Channels { ones: shape.len() - 2, range: range[0]..range[1] },
            };
            return Some(Proposal { constants: vec![constant], ..of(op_type, x) });
        }
        if self.random.once_in(8) {
            let exponent = self.random.pick(&[2.0, 3.0, 1.0]);
            return Some(Proposal { constants: vec![Constant::Given(scalar(exponent))], ..of("Pow", x) });
        }
        let others = self.alike(shape, None);
        let op_type = self.random.pick(&["Add", "Add", "Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"]);
        let most = if matches!(op_type, "Max" | "Min" | "Sum" | "Mean") { 2 } else { 1 };
        let inputs = (0..self.random.between(1, most)).map(|_| self.random.pick(&others));
        Some(Proposal { inputs: [x].into_iter().chain(inputs).collect(), ..of(op_type, x) })
    }

    fn normalization(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let rank = shape.len();
        match self.random.below(5) {
            0..3 => self.batch_normalization(x),
            3 => {
                let axis = (self.random.below(rank) as i64).max(i64::from(!self.random.once_in(6)));
                let op_type = self.random.pick(&["Softmax", "LogSoftmax"]);
                Proposal { attributes: vec![("axis", axis.into())], ..of(op_type, x) }
            }
            _ => Proposal {
                constants: vec![Constant::Given(scalar(self.random.real(&(0.5..1.5))))],
                attributes: vec![("axis", (self.random.between(1, rank - 1) as i64).into())],
                ..of("LayerNormalization", x)
            },
        }
    }

    fn batch_normalization(&mut self, x: Id) -> Proposal {
        let numbers = |range| Constant::Channels { ones: 0, range };
        let constants = [-1.5..1.5, -1.0..1.0, -1.0..1.0, 0.5..1.5].map(numbers).to_vec();
        let epsilon = self.random.pick(&[1e-5, 1e-3]);
        Proposal { constants, attributes: vec![("epsilon", epsilon.into())], ..of("BatchNormalization", x) }
    }

    fn function(&mut self, x: Id) -> Option<Proposal> {
        let made_by = self.network.layers.iter().find(|layer| layer.id == x).map(|layer| layer.op_type);
        // Far from zero they reach numbers that a device may flush to zero, and the reciprocal of that is infinite.
        let positive = made_by.is_some_and(|op_type| POSITIVE.contains(&op_type)) && self.network.largest <= 2.0;
        let op_type = if positive { self.random.pick(&POSITIVE_FUNCTIONS) } else { self.random.pick(&FUNCTIONS) };
        // An exponential of an exponential soon leaves f32.
        (op_type != "Exp" || self.network.layers.iter().all(|layer| layer.op_type != "Exp")).then(|| of(op_type, x))
    }

    /// A divisor of the channels: 1, all of them, or another.
    fn group(&mut self, channels: usize) -> usize {
        let divisors: Vec<usize> = (1..=channels).filter(|&group| channels.is_multiple_of(group)).collect();
        match self.random.below(4) {
            0 => self.random.pick(&divisors),
            1 => channels,
            _ => 1,
        }
    }

    fn with_bias(&mut self, weights: Constant) -> Vec<Constant> {
        if self.random.once_in(3) { vec![weights] } else { vec![weights, Constant::Bias] }
    }
}

impl Proposal {
    fn without(mut self, attribute: &str) -> Self {
        self.attributes.retain(|(name, _)| *name != attribute);
        self
    }
}

pub(super) fn of(op_type: &'static str, x: Id) -> Proposal {
    Proposal { op_type, inputs: vec![x], constants: vec![], attributes: vec![] }
}

pub(super) fn ints(values: &[usize]) -> AttributeValue {
    AttributeValue::Ints(values.iter().map(|&value| value as i64).collect())
}

pub(super) fn scalar(value: f32) -> Tensor {
    Tensor::real(&[], vec![value]).expect("a scalar is one number")
}
