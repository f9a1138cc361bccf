//! Graphs that are nearly right: a valid skeleton whose operators, attributes and shapes the bytes decide. Bytes alone
//! seldom get past the reader; these get as far as shape inference, passes, planning and kernels' choices.

use super::{bindings, lowered};
use reluctor::onnx::{AttributeValue, Model, ModelBuilder, operators};
use reluctor::tensor::{Tensor, TensorType};

/// Bytes as a row of decisions; zeros once they are used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// Mostly small, now and then at the edge of what fits.
    fn int(&mut self) -> i64 {
        match self.byte() {
            250 => i64::MAX,
            251 => i64::MIN,
            252 => i64::from(i32::MAX),
            253 => 1 << 32,
            254 => -1,
            255 => 1 << 20,
            byte => i64::from(byte % 9) - 2,
        }
    }

    fn ints(&mut self) -> Vec<i64> {
        (0..self.below(6)).map(|_| self.int()).collect()
    }

    fn real(&mut self) -> f32 {
        const SPECIAL: [f32; 6] = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40];
        match self.byte() {
            byte @ 250.. => SPECIAL[usize::from(byte - 250)],
            byte => (f32::from(byte) - 100.0) / 16.0,
        }
    }

    fn shape(&mut self) -> Vec<usize> {
        (0..self.below(6)).map(|_| [1, 2, 3, 4, 5, 8, 16, 0][self.below(8)]).collect()
    }

    fn tensor(&mut self) -> Tensor {
        if self.below(3) == 0 {
            return Tensor::ints(self.ints());
        }
        let shape = self.shape();
        let numbers = (0..shape.iter().product()).map(|_| self.real()).collect();
        Tensor::real(&shape, numbers).expect("as many numbers as elements")
    }
}

/// Attributes that operators have, with the type that they have there.
const INTS: [&str; 9] =
    ["kernel_shape", "strides", "pads", "dilations", "axes", "perm", "output_padding", "output_shape", "split"];
const INT: [&str; 14] = [
    "group",
    "axis",
    "keepdims",
    "ceil_mode",
    "count_include_pad",
    "transA",
    "transB",
    "allowzero",
    "to",
    "blocksize",
    "p",
    "num_outputs",
    "size",
    "exclusive",
];
const FLOAT: [&str; 7] = ["alpha", "beta", "gamma", "epsilon", "lambd", "bias", "min"];
const TEXT: [(&str, &[&str]); 5] = [
    ("auto_pad", &["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
    ("mode", &["nearest", "linear", "cubic", "constant", "reflect", "edge", "wrap", "DCR", "CRD"]),
    ("coordinate_transformation_mode", &["half_pixel", "asymmetric", "align_corners", "tf_crop_and_resize"]),
    ("nearest_mode", &["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]),
    ("equation", &["ij,jk->ik", "bij->bji", "ii->i", "->"]),
];

fn attribute(choices: &mut Choices<'_>) -> (&'static str, AttributeValue) {
    match choices.below(8) {
        0..4 => (INTS[choices.below(INTS.len())], AttributeValue::Ints(choices.ints())),
        4 | 5 => (INT[choices.below(INT.len())], AttributeValue::Int(choices.int())),
        6 => (FLOAT[choices.below(FLOAT.len())], AttributeValue::Float(choices.real())),
        _ => {
            let (name, values) = TEXT[choices.below(TEXT.len())];
            (name, AttributeValue::Text(values[choices.below(values.len())].to_string()))
        }
    }
}

/// See the module.
pub fn network(data: &[u8]) {
    let mut choices = Choices(data);
    let known: Vec<&str> = operators().map(|(op_type, _)| op_type).collect();
    let opset = [6, 9, 11, 13, 17, 21][choices.below(6)];
    let mut build = ModelBuilder::new(opset);
    let mut names = vec!["x".to_string()];
    build.input("x", &TensorType::real(choices.shape()));
    for at in 0..1 + choices.below(4) {
        let op_type = known[choices.below(known.len())];
        let mut inputs: Vec<String> = Vec::new();
        for slot in 0..1 + choices.below(5) {
            inputs.push(match choices.below(4) {
                0 => names[choices.below(names.len())].clone(),
                1 if slot > 0 => String::new(),
                2 if slot > 0 => {
                    let name = format!("c{at}_{slot}");
                    build.initializer(&name, &choices.tensor());
                    name
                }
                _ => names[names.len() - 1].clone(),
            });
        }
        let attributes: Vec<_> = (0..choices.below(4)).map(|_| attribute(&mut choices)).collect();
        let attributes: Vec<(&str, AttributeValue)> = attributes.into_iter().collect();
        let output = format!("t{at}");
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        build.node(op_type, &format!("n{at}"), &inputs, &[&output], &attributes);
        names.push(output);
    }
    build.output(&names[names.len() - 1], None);
    let model = Model::from_bytes("fuzzed", build.to_bytes());
    if let Ok(graph) = model.and_then(|model| model.graph(&bindings())) {
        lowered(graph);
    }
}
