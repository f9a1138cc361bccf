//! Plans: buffers that take turns, aliases, and how a plan prints.

use reluctor::graph::ValueId;
use reluctor::onnx::{AttributeValue, Bindings, Model, ModelBuilder};
use reluctor::ops::*;
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::{BufferId, Limits, Output, Parts, Plan, plan};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::check;
use reluctor_testing::random::Random;
use reluctor_testing::shapes::window;
use std::collections::{HashMap, HashSet};

fn planned(case: &Case) -> Plan {
    plan(&case.graph, &Limits::default()).unwrap()
}

/// Limits under which all images lie row-major.
fn row_major() -> Limits {
    Limits { conv_kernel: Some("conv_tile".into()), ..Limits::default() }
}

/// Which values a buffer holds at some moment: one, and those that only reshape it. Copies in another layout hold them too.
type Holders = HashMap<BufferId, HashSet<ValueId>>;

/// Replays a plan's reads and writes: what is wrong with it, if anything.
fn misuse(case: &Case, plan: &Plan) -> Result<(), String> {
    let mut holders = Holders::new();
    for port in plan.inputs() {
        holders.insert(port.view.buffer, HashSet::from([port.value]));
    }
    for step in plan.steps() {
        let node = &case.graph.nodes[step.node];
        // What earlier dispatches of the step wrote for later ones.
        let mut own = HashSet::new();
        for dispatch in &step.dispatches {
            for read in &dispatch.inputs {
                let constant = plan.buffers()[read.buffer.0].contents.is_some();
                let held = holders
                    .get(&read.buffer)
                    .is_some_and(|held| node.inputs.iter().flatten().any(|input| held.contains(input)));
                if read.buffer == dispatch.output.buffer {
                    return Err(format!("{} reads what it writes", step.name));
                }
                if !constant && !held && !own.contains(&read.buffer) {
                    return Err(format!("{} reads {:?}, which holds another tensor by then", step.name, read.buffer));
                }
            }
            own.insert(dispatch.output.buffer);
            let copied = match dispatch.variant.kernel.name {
                "channels_by_four" | "channels_apart" => holders.get(&dispatch.inputs[0].buffer).cloned(),
                _ => None,
            };
            holders.insert(dispatch.output.buffer, copied.unwrap_or_default());
        }
        for port in &step.outputs {
            if plan.buffers()[port.view.buffer.0].bytes < port.view.offset + port.view.bytes {
                return Err(format!("{} does not fit its buffer", port.name));
            }
            let held = holders.entry(port.view.buffer).or_default();
            if !step.dispatches.is_empty() {
                held.clear();
            }
            held.insert(port.value);
        }
    }
    for output in plan.outputs() {
        if let Output::Computed(port) = output
            && !holders.get(&port.view.buffer).is_some_and(|held| held.contains(&port.value))
        {
            return Err(format!("output {} was overwritten", port.name));
        }
    }
    Ok(())
}

/// A random network of tensors `[2, 3, 4, 5]`, under several shapes, with readers near and far.
fn network(seed: u64) -> Case {
    let mut build = Build::new(seed);
    let mut random = Random::new(seed + 1_000);
    let mut values: Vec<ValueId> = (0..2).map(|_| build.input(&[2, 3, 4, 5])).collect();
    for index in 0..25 {
        let pick = |random: &mut Random, values: &[ValueId]| {
            let reach = if random.below(3) == 0 { values.len() } else { values.len().min(4) };
            values[values.len() - 1 - random.below(reach)]
        };
        let (a, b) = (pick(&mut random, &values), pick(&mut random, &values));
        let name = format!("n{index}");
        let (mut a, mut b) = (a, b);
        for (at, value) in [&mut a, &mut b].into_iter().enumerate() {
            if build.shape(*value) != [2, 3, 4, 5] {
                *value = build.node(&format!("{name} back {at}"), Reshape { shape: vec![2, 3, 4, 5] }, &[Some(*value)]);
            }
        }
        let add = Binary { function: BinaryFunction::Add, activation: Activation::Identity };
        values.push(match random.below(4) {
            0 => build.node(&name, Activate { activation: Activation::Softsign }, &[Some(a)]),
            1 => build.node(&name, Reshape { shape: vec![6, 20] }, &[Some(a)]),
            2 => {
                let w = build.constant(&[3, 3, 1, 1]);
                let window = window([1, 1], [1, 1], [1, 1], [0; 4]);
                let inputs = [Some(a), Some(w), None, Some(b)];
                build.node(&name, Conv { window, groups: 1, epilogue: Epilogue::default() }, &inputs)
            }
            _ => build.node(&name, add, &[Some(a), Some(b)]),
        });
    }
    let outputs = [values[values.len() - 1], values[2 + random.below(20)], values[0]];
    build.done(&outputs)
}

#[test]
fn no_two_live_tensors_share_a_buffer() {
    for seed in 0..200 {
        let case = network(seed);
        for limits in [Limits::default(), row_major()] {
            let plan = plan(&case.graph, &limits).unwrap();
            misuse(&case, &plan).unwrap_or_else(|problem| panic!("network {seed}: {problem}\n{}\n{plan}", case.graph));
        }
    }
}

#[test]
fn networks_whose_tensors_take_turns_compute_the_same() {
    for seed in 0..6 {
        check(&network(seed));
    }
}

#[test]
fn a_plan_whose_tensors_overwrite_each_other_is_told_apart() {
    let case = network(1);
    let good = planned(&case);
    let scratch = |id: &BufferId| good.buffers()[id.0].contents.is_none();
    let slots: Vec<BufferId> = (0..good.buffers().len()).map(BufferId).filter(scratch).collect();
    for pair in slots.windows(2) {
        let mut bad = Parts::from(&good);
        let merge = |buffer: &mut BufferId| *buffer = if *buffer == pair[1] { pair[0] } else { *buffer };
        for step in &mut bad.steps {
            step.outputs.iter_mut().for_each(|port| merge(&mut port.view.buffer));
            for dispatch in &mut step.dispatches {
                merge(&mut dispatch.output.buffer);
                dispatch.inputs.iter_mut().for_each(|view| merge(&mut view.buffer));
            }
        }
        bad.inputs.iter_mut().for_each(|port| merge(&mut port.view.buffer));
        assert!(misuse(&case, &bad.into()).is_err(), "{pair:?} became one");
    }
}

/// Convolutions of 4 to 4 channels, 3x3 with padding, one after another.
fn chain(length: usize) -> Case {
    let mut build = Build::new(1);
    let mut x = build.input(&[1, 4, 8, 8]);
    for index in 0..length {
        let [w, bias] = [build.constant(&[4, 4, 3, 3]), build.constant(&[4])];
        let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
        let op = Conv { window, groups: 1, epilogue: Epilogue::default() };
        x = build.node(&format!("conv{index}"), op, &[Some(x), Some(w), Some(bias)]);
    }
    build.done(&[x])
}

#[test]
fn a_chain_of_ten_convolutions_needs_two_tensors_and_its_weights() {
    let plan = plan(&chain(10).graph, &row_major()).unwrap();
    let (tensor, weights) = (4 * 8 * 8 * 4, 10 * (4 * 4 * 9 + 4 + 4) * 4);
    assert_eq!(plan.weights_bytes(), weights);
    assert_eq!(plan.peak_bytes(), 2 * tensor + weights);
}

/// Tensors of one size, which need nothing but what lives at one time.
#[test]
fn tensors_of_one_size_share_without_waste() {
    for seed in 0..50 {
        let plan = plan(&network(seed).graph, &row_major()).unwrap();
        assert_eq!(plan.peak_bytes(), plan.weights_bytes() + plan.live_bytes(), "network {seed}");
    }
}

#[test]
fn a_plan_has_one_step_for_each_node() {
    let case = network(3);
    let plan = planned(&case);
    assert_eq!(
        plan.steps().iter().map(|step| step.node).collect::<Vec<_>>(),
        Vec::from_iter(0..case.graph.nodes.len())
    );
    assert!(plan.steps().iter().zip(&case.graph.nodes).all(|(step, node)| step.name == node.name));
}

#[test]
fn reshapes_cost_nothing() {
    let mut build = Build::new(1);
    let x = build.input(&[2, 3, 4, 5]);
    let y = build.node("flat", Reshape { shape: vec![2, 60] }, &[Some(x)]);
    let z = build.node("relu", Activate { activation: Activation::Relu }, &[Some(y)]);
    let case = build.done(&[z, y]);
    let plan = planned(&case);
    assert!(plan.steps()[0].dispatches.is_empty());
    assert_eq!(plan.steps()[0].bytes, 0);
    assert_eq!(plan.steps()[0].outputs[0].view, plan.inputs()[0].view);
    check(&case);
}

#[test]
fn an_output_that_is_an_input_or_a_constant_is_handed_through() {
    let mut build = Build::new(1);
    let (x, k) = (build.input(&[7]), build.constant(&[3]));
    let y = build.node("relu", Activate { activation: Activation::Relu }, &[Some(x)]);
    let case = build.done(&[x, k, y, y]);
    assert!(matches!(&planned(&case).outputs()[1], Output::Constant(..)));
    check(&case);
}

#[test]
fn a_plan_prints_its_steps_dispatches_and_costs() {
    let mut build = Build::new(1);
    let x = build.input(&[1, 3, 8, 8]);
    let [w, bias] = [build.constant(&[4, 3, 3, 3]), build.constant(&[4])];
    let convolution = window([3, 3], [1, 1], [1, 1], [1; 4]);
    let op = Conv { window: convolution, groups: 1, epilogue: Epilogue::default() };
    let y = build.node("conv", op, &[Some(x), Some(w), Some(bias)]);
    let y = build.node("relu", Activate { activation: Activation::Relu }, &[Some(y)]);
    let window = window([2, 2], [2, 2], [1, 1], [0; 4]);
    let y = build.node("pool", Pool { kind: PoolKind::Max, window, ceil: false }, &[Some(y)]);
    let y = build.node("flatten", Reshape { shape: vec![1, 64] }, &[Some(y)]);
    let case = build.done(&[y]);
    let graph = optimize(case.graph, &Fusion::all()).unwrap();
    let tiled = "\
Conv conv -> 1x4x4x4
    conv_tile+relu+slope_uniform+residual_none+tile_pool+tile_max_pool groups 1x1x1
Reshape flatten -> 1x64
1 dispatches, 13824 flops, 1472 bytes moved, 464 bytes of weights, 1488 bytes in all
";
    assert_eq!(plan(&graph, &row_major()).unwrap().to_string(), tiled);
    let by_four = "\
Conv conv -> 1x4x4x4
    conv_gemm+usual+slopes_uniform+residuals_none+pooled_by_four+tile_max_pool+gemm_pixels_pooled+gemm_32x32 groups 2x1x1
Reshape flatten -> 1x64
    channels_apart groups 1x1x1
";
    let plan = plan(&graph, &Limits::default()).unwrap().to_string();
    assert!(plan.starts_with(by_four), "{plan}");
}

/// ResNet-50 with its batch normalizations folded (He et al., Deep Residual Learning, 2015, table 1): 53 convolutions, the pool
/// behind the first, the mean and the product.
fn resnet50() -> Model {
    struct Network {
        model: ModelBuilder,
        nodes: usize,
    }
    impl Network {
        fn node(&mut self, op_type: &str, inputs: &[&str], attributes: &[(&str, AttributeValue)]) -> String {
            self.nodes += 1;
            let name = format!("{op_type}{}", self.nodes);
            self.model.node(op_type, &name, inputs, &[&name], attributes);
            name
        }

        fn conv(&mut self, x: &str, [in_c, out_c]: [usize; 2], kernel: usize, stride: i64) -> String {
            let [weights, bias] = ["weights", "bias"].map(|what| format!("{what}{}", self.nodes));
            let zeros = |shape: &[usize]| Tensor::real(shape, vec![0.0; shape.iter().product()]).unwrap();
            self.model
                .initializer(&weights, &zeros(&[out_c, in_c, kernel, kernel]))
                .initializer(&bias, &zeros(&[out_c]));
            let pads = AttributeValue::Ints(vec![kernel as i64 / 2; 4]);
            self.node(
                "Conv",
                &[x, &weights, &bias],
                &[("strides", AttributeValue::Ints(vec![stride; 2])), ("pads", pads)],
            )
        }
    }
    let mut net = Network { model: ModelBuilder::new(17), nodes: 0 };
    net.model.input("image", &TensorType::real([1, 3, 224, 224]));
    let first = net.conv("image", [3, 64], 7, 2);
    let first = net.node("Relu", &[&first], &[]);
    let [threes, twos, ones] = [vec![3; 2], vec![2; 2], vec![1; 4]].map(AttributeValue::Ints);
    let mut x = net.node("MaxPool", &[&first], &[("kernel_shape", threes), ("strides", twos), ("pads", ones)]);
    let mut channels = 64;
    for (stage, (width, blocks)) in [(64, 3), (128, 4), (256, 6), (512, 3)].into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let shortcut = if block == 0 { net.conv(&x, [channels, 4 * width], 1, stride) } else { x.clone() };
            let narrow = net.conv(&x, [channels, width], 1, 1);
            let narrow = net.node("Relu", &[&narrow], &[]);
            let middle = net.conv(&narrow, [width, width], 3, stride);
            let middle = net.node("Relu", &[&middle], &[]);
            let wide = net.conv(&middle, [width, 4 * width], 1, 1);
            let sum = net.node("Add", &[&wide, &shortcut], &[]);
            (x, channels) = (net.node("Relu", &[&sum], &[]), 4 * width);
        }
    }
    let mean = net.node("GlobalAveragePool", &[&x], &[]);
    let flat = net.node("Flatten", &[&mean], &[]);
    let classes = Tensor::real(&[2048, 1000], vec![0.0; 2_048_000]).unwrap();
    net.model.initializer("classes", &classes);
    let scores = net.node("Gemm", &[&flat, "classes"], &[]);
    net.model.output(&scores, None);
    Model::from_bytes("resnet50", net.model.to_bytes()).unwrap()
}

#[test]
fn resnet_50_is_56_dispatches_of_12_pipelines_at_most() {
    let graph = optimize(resnet50().graph(&Bindings::default()).unwrap(), &Fusion::all()).unwrap();
    let software = Limits { software: true, subgroup_lanes: 8, threads: 2, ..Limits::default() };
    for limits in [software, Limits::default()] {
        let plan = plan(&graph, &limits).unwrap();
        let pipelines: HashSet<String> = plan.dispatches().map(|dispatch| dispatch.variant.to_string()).collect();
        let (dispatches, pipelines) = (plan.dispatches().count(), pipelines.len());
        assert!(dispatches <= 56 && pipelines <= 12, "{dispatches} dispatches, {pipelines} pipelines");
    }
}
