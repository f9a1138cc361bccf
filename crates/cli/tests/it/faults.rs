//! Faults injected at one node of a network of several layers: one `compare` names that node, from the file alone.

use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::random::{Numbers, Random};
use reluctor_testing::scratch::Scratch;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Node, right text, wrong text.
type Injected = (&'static str, &'static str, &'static str);

const IN_CONVOLUTIONS: [Injected; 16] = [
    ("tile", "weights[filter_at]", "weights[filter_at + select(0u, 1u, kx == 1u)]"),
    ("tile", "select(x, 0.0, x < 0.0)", "select(x, 0.01 * x, x < 0.0)"),
    ("residual", "let at = oc - p.first_c;", "let at = (oc + 1u) % p.count_c;"),
    ("residual", "residual[index]", "residual[max(index, 1u) - 1u]"),
    ("residual", "select(x, a * x, x < 0.0)", "select(x, 1.01 * a * x, x < 0.0)"),
    ("slope", "return slope_of(oc);", "return slope_of(0u);"),
    ("slope", "weights[filter_line + kx]", "weights[filter_line + select(kx, 2u, kx == 1u)]"),
    ("tile_max", "(values > state)", "(values < state)"),
    ("tile_mean", "state / f32(taken)", "state / f32(taken + 1u)"),
    ("tile_mean", "1.0 + t)", "1.001 + t)"),
    ("each_max", "- p.pool.pad_left;", "- p.pool.pad_left + 1;"),
    ("each_max", "weights[p.bias_at + oc - p.first_c]", "weights[p.bias_at]"),
    ("transposed", "weights[filter_line + kx]", "weights[filter_line + select(kx, 2u, kx == 1u)]"),
    ("each_mean", "sum / f32(count)", "sum / f32(count + 1u)"),
    ("norm", "at_least_a > b", "at_least_a > 0.5 * b"),
    ("norm", "sum_0 += weight", "sum_0 += unpack2x16float(pack2x16float(weight.xy)).x"),
];

const BY_FOUR: [Injected; 6] = [
    ("tile", "weights[weight_at + 8u]", "weights[weight_at + 4u]"),
    ("residual", "select(0u, min(at, places() - 1u), has)", "select(0u, max(at, 1u) - 1u, has)"),
    ("slope", "return slopes_of(block);", "return slopes_of(block).yzxw;"),
    ("tile_max", "(values > state)", "(values < state)"),
    ("tile_mean", "state / f32(taken)", "state / f32(taken + 1u)"),
    ("norm", "p.bias_at + block", "p.slope_at + block"),
];

const IN_OTHERS: [Injected; 14] = [
    ("pad", "source_index(i32(place)", "source_index(i32(place) + 1"),
    ("pool", "value > most", "value < most"),
    ("norm", "per_channel[p.channels + c]", "per_channel[p.channels]"),
    ("swap", "var to_at = p.out_offset;", "var to_at = p.out_offset; from_at += select(0, 1, index == 0u);"),
    ("up#1", "* table[at + 1u]", "* table[1u]"),
    ("softplus", "1.0 / 3.0", "1.0 / 3.01"),
    ("instances", "distance * distance", "abs(distance)"),
    ("instances", "along_row(total) * p.scale", "along_row(total) * p.scale * 1.0001"),
    ("product", "return a * b;", "return a * b + 0.0001;"),
    ("mean", "total * p.scale", "total * p.scale * 1.00001"),
    ("gemm", "k < p.k_end;", "k < p.k_end - 1u;"),
    ("gemm", "p.beta * input_c[", "input_c[1u + "),
    ("gemm", "-m / (2.0 + m)", "-m / (2.001 + m)"),
    ("softmax", "exp(input[at] - most) / sum", "exp(input[at] - most) / (sum - 0.001)"),
];

/// A model whose constants are random.
struct Network {
    builder: ModelBuilder,
    random: Random,
    /// The last node's result.
    last: String,
}

impl Network {
    fn new(shape: [usize; 4]) -> Self {
        let mut builder = ModelBuilder::new(17);
        builder.input("x", &TensorType::real(shape));
        Network { builder, random: Random::new(5), last: "x".to_string() }
    }

    /// A node on the last one's result and these constants; its result has its name.
    fn node(&mut self, op_type: &str, name: &str, constants: &[&[usize]], attributes: &[(&str, AttributeValue)]) {
        let mut inputs = vec![self.last.clone()];
        for (slot, shape) in constants.iter().enumerate() {
            let Tensor::Real(array) = self.random.tensor(Numbers::Reals, shape) else {
                unreachable!("they hold reals")
            };
            // Variances are positive, and weights so small that no layer saturates.
            let array =
                array.mapv(|x| if op_type == "BatchNormalization" && slot == 3 { 1.0 + x / 4.0 } else { x / 4.0 });
            inputs.push(format!("{name}.{slot}"));
            self.builder.initializer(&inputs[slot + 1], &Tensor::Real(array));
        }
        self.node_of(op_type, name, &inputs, attributes);
    }

    fn node_of(&mut self, op_type: &str, name: &str, inputs: &[String], attributes: &[(&str, AttributeValue)]) {
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.builder.node(op_type, name, &inputs, &[name], attributes);
        self.last = name.to_string();
    }

    /// A 3x3 convolution that keeps the image's size, with bias.
    fn conv(&mut self, name: &str, [out_c, in_c]: [usize; 2]) {
        self.node("Conv", name, &[&[out_c, in_c, 3, 3], &[out_c]], &[("pads", ints([1; 4]))]);
    }

    fn pool(&mut self, op_type: &str, name: &str) {
        self.node(op_type, name, &[], &[("kernel_shape", ints([2; 2])), ("strides", ints([2; 2]))]);
    }

    fn scratch(mut self, file: &str) -> Scratch {
        self.builder.output(&self.last, None);
        Scratch::with(file, &self.builder.to_bytes())
    }
}

fn ints<const N: usize>(values: [i64; N]) -> AttributeValue {
    AttributeValue::Ints(values.to_vec())
}

/// Each way in which a convolution can be computed and can end.
fn convolutions(file: &str) -> Scratch {
    let mut network = Network::new([2, 3, 17, 18]);
    network.conv("tile", [5, 3]);
    network.node("Relu", "relu", &[], &[]);
    network.conv("residual", [5, 5]);
    network.node_of("Add", "add", &["residual", "relu"].map(str::to_string), &[]);
    network.node("LeakyRelu", "leaky", &[], &[("alpha", 0.2.into())]);
    network.conv("slope", [3, 5]);
    network.node("PRelu", "prelu", &[&[3, 1, 1]], &[]);
    network.conv("tile_max", [8, 3]);
    network.pool("MaxPool", "maximum");
    network.conv("tile_mean", [8, 8]);
    network.node("Sigmoid", "sigmoid", &[], &[]);
    network.pool("AveragePool", "mean");
    network.conv("each_max", [3, 8]);
    network.node("Elu", "elu", &[], &[]);
    network.pool("MaxPool", "another_maximum");
    network.node("ConvTranspose", "transposed", &[&[3, 4, 3, 3], &[4]], &[("strides", ints([2; 2]))]);
    network.conv("each_mean", [2, 4]);
    network.pool("AveragePool", "another_mean");
    network.conv("norm", [6, 2]);
    network.node("BatchNormalization", "batch_norm", &[&[6][..]; 4], &[]);
    network.builder.initializer("low", &Tensor::real(&[], vec![-0.4]).unwrap());
    network.builder.initializer("high", &Tensor::real(&[], vec![0.4]).unwrap());
    network.node_of("Clip", "clip", &["batch_norm", "low", "high"].map(str::to_string), &[]);
    network.scratch(file)
}

/// Each kernel that is no convolution's.
fn others() -> Scratch {
    let mut network = Network::new([2, 3, 9, 10]);
    network.builder.initializer("pads", &Tensor::ints(vec![0, 0, 1, 0, 0, 0, 0, 2]));
    network.node_of("Pad", "pad", &["x", "pads"].map(str::to_string), &[]);
    network.node("InstanceNormalization", "instances", &[&[3], &[3]], &[]);
    network.pool("MaxPool", "pool");
    network.node("BatchNormalization", "norm", &[&[3][..]; 4], &[]);
    network.node("Transpose", "swap", &[], &[("perm", ints([0, 1, 3, 2]))]);
    network.builder.initializer("scales", &Tensor::real(&[4], vec![1.0, 1.0, 2.0, 2.0]).unwrap());
    let inputs = ["swap", "", "scales"].map(str::to_string);
    network.node_of("Resize", "up", &inputs, &[("mode", "linear".into())]);
    network.node("Softplus", "softplus", &[], &[]);
    network.node("Mul", "product", &[&[3, 1, 1]], &[]);
    network.node("GlobalAveragePool", "mean", &[], &[]);
    network.node("Flatten", "flat", &[], &[]);
    network.node("Gemm", "gemm", &[&[3, 7], &[7]], &[]);
    network.node("Tanh", "tanh_of_gemm", &[], &[]);
    network.node("Softmax", "softmax", &[], &[]);
    network.scratch("others.onnx")
}

/// The exit code of a comparison and the node that it finds guilty.
fn compared(model: &Scratch, kernel: Option<&str>, fault: Option<&str>) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reluctor"));
    command
        .args(["compare", model.path(), "--device", "gpu", "--json"])
        .env("NODEVICE_SELECT", "1")
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.args(kernel.map(|kernel| format!("--kernel={kernel}")));
    command.args(fault.map(|fault| format!("--inject-fault={fault}"))).stdin(Stdio::null());
    let output = command.output().expect("the binary runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{fault:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report["first_diverging"].clone())
}

fn assert_each_is_located(model: &Scratch, kernel: Option<&str>, faults: &[Injected]) {
    assert_eq!(compared(model, kernel, None), (Some(0), Value::Null), "without a fault");
    for (node, find, replace) in faults {
        let fault = format!("{node}:{find}=>{replace}");
        assert_eq!(compared(model, kernel, Some(&fault)), (Some(1), Value::from(*node)), "{fault}");
    }
}

#[test]
fn a_fault_in_any_part_of_a_convolution_is_located_by_one_command() {
    assert_each_is_located(&convolutions("convolutions.onnx"), Some("conv_tile"), &IN_CONVOLUTIONS);
}

#[test]
fn a_fault_in_any_other_kernel_is_located_by_one_command() {
    assert_each_is_located(&others(), Some("conv_tile"), &IN_OTHERS);
}

#[test]
fn a_fault_that_fits_nowhere_is_a_usage_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reluctor"));
    command
        .args(["run", "--device", "gpu", "--inject-fault=:no such text=>x"])
        .env("NODEVICE_SELECT", "1")
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    let output = command.stdin(Stdio::null()).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("no shader of any node"), "{text}");
}

#[test]
fn a_fault_in_a_convolution_by_four_channels_is_located_by_one_command() {
    assert_each_is_located(&convolutions("by_four.onnx"), None, &BY_FOUR);
}
