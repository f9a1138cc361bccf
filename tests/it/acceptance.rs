//! No false alarm: what a right device computes is within the rounding bound, for every kernel variant, over numbers of all
//! magnitudes.

use crate::parity;
use ndarray::IxDyn;
use reluctor::element::Element;
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::kernels::variants;
use reluctor::ops::epilogue::{Epilogue, slot};
use reluctor::ops::window::Window;
use reluctor::ops::{BinaryFunction, Conv, Op, UnaryFunction};
use reluctor::plan::{Limits, plan};
use reluctor::tensor::{Kind, Tensor, TensorType};
use reluctor_lab::compare::{Comparison, Mode, Tolerance};
use reluctor_testing::build::Case;
use reluctor_testing::device::gpu;
use reluctor_testing::random::{Numbers, Random};
use std::collections::BTreeMap;

/// What tensors hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mixture {
    /// Between -2 and 2.
    Moderate,
    /// Of magnitudes from 1e-30 to 1e30 where nothing overflows by that.
    Wide,
    /// Zeros of either sign, subnormal numbers and others.
    Tiny,
    /// So few different numbers of either sign that most sums cancel.
    Cancelling,
}

const MIXTURES: [Mixture; 4] = [Mixture::Moderate, Mixture::Wide, Mixture::Tiny, Mixture::Cancelling];

/// One node of the parity tests by itself, and the variants that compute it.
struct Subject {
    graph: Graph,
    limits: Limits,
    variants: Vec<String>,
    elements: usize,
}

/// Subjects that a variant takes turns with, one for each round of all mixtures.
const TURNS: usize = 8;

/// Whether operands of different shapes are brought to one.
fn broadcasts(op: &Op) -> bool {
    matches!(op, Op::Binary(_) | Op::MatMul(_) | Op::Logic(_) | Op::Select(_))
}

/// Dimensions of the first operand that grow so that one run computes more.
fn grown(op: &Op, slot: usize, shape: &[usize], rank: usize, factor: usize) -> Vec<usize> {
    let batch = |shape: &[usize]| [&[shape[0] * factor], &shape[1..]].concat();
    match op {
        Op::Conv(_) | Op::ConvTranspose(_) if [slot::INPUT, slot::RESIDUAL].contains(&slot) => batch(shape),
        op if broadcasts(op) && rank < 8 => [&[factor][..], &vec![1; rank - shape.len()], shape].concat(),
        // The batch is the row.
        Op::ArgMost(most) if most.axis == 0 => shape.to_vec(),
        Op::TopK(most) if most.axis == 0 => shape.to_vec(),
        Op::Concat(_) | Op::Slice(_) | Op::Expand(_) | Op::Reshape(_) => shape.to_vec(),
        _ if slot == 0 && !shape.is_empty() => batch(shape),
        _ => shape.to_vec(),
    }
}

/// A convolution of one tap a channel that reads the first input too, so that this lies by four channels: beside a node whose
/// input a convolution made.
fn beside(graph: &Graph, node: &Node, own: &mut Graph) -> Option<()> {
    let made = |made: &&Node| made.outputs.iter().any(|&id| Some(id) == node.input(0));
    graph.nodes.iter().find(made).filter(|made| matches!(made.op, Op::Conv(_)))?;
    let &x = own.inputs.first()?;
    let ty = own.value(x).ty.clone();
    let channels = ty.shape[1];
    let filters = Tensor::real(&[channels, 1, 1, 1], vec![0.5; channels]).ok()?;
    let filters = own.add_constant("filters", filters);
    let op = Conv { window: Window::pointwise(), groups: channels, epilogue: Epilogue::default() };
    let output = own.add_value("beside", ty, None);
    own.nodes.push(Node::new("beside", op, vec![Some(x), Some(filters)], vec![output]));
    own.outputs.push(output);
    Some(())
}

/// A node by itself, its run-time operands `factor` times as large.
fn alone(graph: &Graph, node: &Node, factor: usize) -> Option<Graph> {
    let mut own = Graph { name: node.name.clone(), ..Graph::default() };
    let rank = node.inputs.iter().flatten().map(|&id| graph.value(id).ty.shape.len()).max()?;
    let mut inputs: Vec<Option<ValueId>> = Vec::new();
    for (slot, id) in node.inputs.iter().enumerate() {
        let Some(id) = *id else {
            inputs.push(None);
            continue;
        };
        let value = graph.value(id);
        let name = format!("operand {slot}");
        // What a function of one number is given may be a constant, since it must be positive.
        if let Some(constant) = value.constant.as_deref().filter(|_| !matches!(node.op, Op::Unary(_))) {
            inputs.push(Some(own.add_constant(name, constant.clone())));
            continue;
        }
        // One growing operand is enough where operands broadcast.
        let grows = !broadcasts(&node.op) || own.inputs.is_empty();
        let shape = &value.ty.shape;
        let shape = if grows { grown(&node.op, slot, shape, rank, factor) } else { shape.clone() };
        let id = own.add_value(name, TensorType { kind: value.ty.kind, shape }, None);
        own.inputs.push(id);
        inputs.push(Some(id));
    }
    let types: Vec<_> = inputs.iter().map(|id| id.map(|id| &own.value(id).ty)).collect();
    let mut op = node.op.clone();
    if let Op::Normalize(norm) = &mut op {
        norm.shape[0] *= factor;
    }
    let ty = op.infer(&types).ok()?.remove(0);
    let output = own.add_value(node.name.clone(), ty, None);
    beside(graph, node, &mut own);
    own.nodes.push(Node::new(&node.name, op, inputs, vec![output]));
    own.outputs.push(output);
    own.validate().ok()?;
    Some(own)
}

fn elements(graph: &Graph) -> usize {
    graph.outputs.last().map_or(0, |&id| graph.value(id).ty.shape.iter().product())
}

/// Every node of the parity tests that runs something, with about `elements` in its result.
fn subjects(wanted: usize) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for (case, limits) in parity::cases() {
        for node in &case.graph.nodes {
            let Some(small) = alone(&case.graph, node, 1) else { continue };
            // An odd one: what is no whole number of fours stays so.
            let factor = wanted.div_ceil(elements(&small).max(1)) | 1;
            let Some(graph) = alone(&case.graph, node, factor) else { continue };
            let plan = plan(&graph, &limits).unwrap_or_else(|error| panic!("{error}"));
            let dispatches = plan.steps().last().into_iter().flat_map(|step| &step.dispatches);
            let mut variants: Vec<String> = dispatches.map(|dispatch| dispatch.variant.to_string()).collect();
            variants.sort();
            variants.dedup();
            if !variants.is_empty() {
                subjects.push(Subject { elements: elements(&graph), graph, limits: limits.clone(), variants });
            }
        }
    }
    // Those that compute most first.
    subjects.sort_by_key(|subject| std::cmp::Reverse(subject.elements.min(wanted)));
    subjects
}

/// Exponents of 2 between which an operand's magnitudes may lie, so that no result or sum overflows.
fn exponents(op: &Op, slot: usize) -> [i32; 2] {
    match (op, slot) {
        (Op::Conv(_) | Op::ConvTranspose(_), slot::WEIGHT) => [-100, 0],
        (Op::Conv(_) | Op::ConvTranspose(_), slot::SLOPE) => [-100, 5],
        (Op::MatMul(_), 1) => [-100, 0],
        (Op::BatchNormalization(_), 1) => [-60, 0],
        // Squares of thousands are added up.
        (Op::Normalize(_), 0) => [-60, 50],
        (Op::Normalize(_), _) => [-60, 60],
        (Op::BatchNormalization(_), 4) => [-10, 10],
        (Op::Binary(binary), slot) => match (binary.function, slot) {
            (BinaryFunction::Mul | BinaryFunction::Div, _) => [-60, 60],
            (BinaryFunction::PRelu, 1) => [-100, 10],
            (BinaryFunction::Pow, 0) => [-5, 5],
            (BinaryFunction::Pow, _) => [-10, 3],
            _ => [-100, 100],
        },
        (Op::Unary(unary), _) => match unary.function {
            UnaryFunction::Exp => [-20, 5],
            UnaryFunction::Log | UnaryFunction::Sqrt | UnaryFunction::Reciprocal => [-60, 60],
            _ => [-100, 100],
        },
        // An uint64 is made of what an int64 holds.
        (Op::Cast(cast), _) if cast.to == Element::U64 => [-100, 62],
        _ => [-100, 100],
    }
}

/// Whether an operand's function is defined for positive numbers, or has a pole.
fn is_positive(op: &Op, slot: usize) -> bool {
    match op {
        Op::BatchNormalization(_) => slot == 4,
        Op::Binary(binary) => [(BinaryFunction::Div, 1), (BinaryFunction::Pow, 0)].contains(&(binary.function, slot)),
        Op::Unary(unary) => {
            matches!(unary.function, UnaryFunction::Log | UnaryFunction::Sqrt | UnaryFunction::Reciprocal)
        }
        Op::Cast(cast) => cast.to == Element::U64,
        _ => false,
    }
}

fn number(random: &mut Random, mixture: Mixture, [low, high]: [i32; 2], positive: bool) -> f32 {
    let sign = if positive || random.below(2) == 0 { 1.0 } else { -1.0 };
    let moderate = random.number(Numbers::Reals);
    match mixture {
        Mixture::Moderate | Mixture::Tiny if positive => 1.0 + moderate / 4.0,
        Mixture::Moderate => moderate,
        Mixture::Wide => {
            let exponent = low + random.below((high - low) as usize) as i32;
            sign * (exponent as f32).exp2() * (1.0 + moderate.abs() / 2.0).min(1.999)
        }
        Mixture::Tiny => match random.below(6) {
            0 => sign * 0.0,
            1 => sign * f32::from_bits(random.bits() & 0x007f_ffff),
            2 => sign * f32::MIN_POSITIVE * (1.0 + moderate.abs()),
            _ => moderate,
        },
        Mixture::Cancelling => sign * [1.0, 1.000_000_1, 3.0, 1000.1][random.below(4)],
    }
}

/// New numbers for every operand.
fn filled(subject: &Subject, random: &mut Random, mixture: Mixture) -> Case {
    let mut graph = subject.graph.clone();
    let node = graph.nodes.last().expect("a subject has a node").clone();
    let mut inputs = Vec::new();
    for (slot, id) in node.inputs.iter().enumerate() {
        let Some(id) = *id else { continue };
        let (range, positive) = (exponents(&node.op, slot), is_positive(&node.op, slot));
        let shape = IxDyn(&graph.value(id).ty.shape);
        let array = ndarray::ArrayD::from_shape_simple_fn(shape, || number(random, mixture, range, positive));
        let tensor = match graph.value(id).ty.kind {
            Kind::Real => Tensor::Real(array),
            Kind::Int => Tensor::Int(array.mapv(|x| (x * 4.0).clamp(-9.0, 9.0) as i64)),
            Kind::Bool => Tensor::Bool(array.mapv(|x| x > 0.0)),
        };
        match graph.value(id).constant {
            // Indices must stay in range.
            Some(_) if tensor.kind() != Kind::Real => {}
            Some(_) => graph.values[id.0].constant = Some(std::sync::Arc::new(tensor)),
            None => inputs.push((graph.value(id).name.clone(), tensor)),
        }
    }
    Case { graph, inputs }
}

/// What became of a variant.
#[derive(Default)]
struct Record {
    elements: usize,
    /// The largest ratio of error to bound, by mixture.
    most: [f64; MIXTURES.len()],
}

/// Compares at least `least` elements of every variant with this in its name, and returns the records and the false alarms.
fn accept(least: usize, named: &str) -> (BTreeMap<String, Record>, Vec<String>) {
    let names = variants().map(|variant| variant.to_string()).filter(|name| name.contains(named));
    let mut records: BTreeMap<String, Record> = names.map(|name| (name, Record::default())).collect();
    let mut by_variant: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let wanted = (least / MIXTURES.len()).min(1 << 14);
    let subjects = subjects(wanted);
    for (index, subject) in subjects.iter().enumerate() {
        for variant in &subject.variants {
            let candidates = by_variant.entry(variant.clone()).or_default();
            // The first computes most. What computes far less would take very many rounds.
            if candidates.first().is_none_or(|&first| 2 * subject.elements >= subjects[first].elements.min(wanted)) {
                candidates.push(index);
            }
        }
    }
    let mut random = Random::new(11);
    let mut alarms = Vec::new();
    for (variant, candidates) in by_variant.into_iter().filter(|(variant, _)| variant.contains(named)) {
        let turns = candidates.len().min(TURNS);
        for round in 0.. {
            if records[&variant].elements >= least && round % MIXTURES.len() == 0 {
                break;
            }
            // From all over the list, whose neighbours are alike.
            let turn = round / MIXTURES.len() % turns;
            let subject = &subjects[candidates[(2 * turn + 1) * candidates.len() / (2 * turns)]];
            let mixture = round % MIXTURES.len();
            let case = filled(subject, &mut random, MIXTURES[mixture]);
            let plan = plan(&case.graph, &subject.limits).unwrap_or_else(|error| panic!("{error}"));
            let result = gpu().load(&plan).and_then(|session| session.run(&case.fed()));
            let results = result.unwrap_or_else(|error| panic!("{error}"));
            let mut comparison = Comparison::new(&case.graph, &case.fed(), Mode::EachLayer, Tolerance::RoundingBound);
            let layers = plan.steps().iter().zip(results).map(|(step, (_, result))| {
                comparison.layer(step.node, &step.computation(), result).unwrap_or_else(|error| panic!("{error}"))
            });
            let difference = layers.last().expect("a plan has a step").difference;
            if difference.mismatched > 0 {
                let (ratio, at) = (difference.bound_ratio, &difference.worst_index);
                let op = &case.graph.nodes.last();
                alarms.push(format!(
                    "{variant}, {:?}: {ratio:.3} at {at:?}: {}, {op:?}",
                    MIXTURES[mixture], difference.mismatched
                ));
            }
            for name in &subject.variants {
                let Some(record) = records.get_mut(name) else { continue };
                record.elements += difference.total;
                record.most[mixture] = record.most[mixture].max(difference.bound_ratio);
            }
        }
        // At once: the long test takes long enough to be cut off.
        let Record { elements, most } = &records[&variant];
        println!("{elements:>9} elements, of the bound at most {most:?}: {variant}");
    }
    (records, alarms)
}

fn assert_accepted(least: usize, named: &str) {
    let (records, alarms) = accept(least, named);
    // What only carries images from one layout to another is never alone: every other variant relies on it. Nor is what puts
    // maxima back where a pool of the same network found them; it rounds nothing.
    let counts = |name: &&String| !name.starts_with("channels_") && *name != "max_unpool";
    let short = records.iter().filter(|(_, record)| record.elements < least).map(|(name, _)| name);
    let short: Vec<_> = short.filter(counts).collect();
    assert!(short.is_empty(), "too few elements of {short:?}");
    assert!(alarms.is_empty(), "{} false alarms:\n{}", alarms.len(), alarms[..alarms.len().min(40)].join("\n"));
}

#[test]
fn no_variant_raises_a_false_alarm_over_20_000_elements() {
    assert_accepted(20_000, "");
}

/// `cargo test --release --test it over_a_million -- --ignored --nocapture`; with `VARIANTS=conv_gemm` before it, only of
/// those with this in their names.
#[test]
#[ignore = "takes many minutes"]
fn no_variant_raises_a_false_alarm_over_a_million_elements() {
    assert_accepted(1_000_000, &std::env::var("VARIANTS").unwrap_or_default());
}
