//! What a network must satisfy, on the CPU executor and on a device.

use super::network::{Network, Numbers};
use crate::compare::{Comparison, Layer, Mode, Tolerance, Verdict, difference};
use ndarray::Axis;
use reluctor::bound::FLUSH;
use reluctor::bound::Summation;
use reluctor::cpu;
use reluctor::error::{Error, Result};
use reluctor::gpu::{Gpu, Session};
use reluctor::graph::Graph;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::{Computation, Limits, Output, Plan, plan};
use reluctor::tensor::{Named, Tensor, borrowed};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Makes the plan that a device runs.
pub type Planner<'a> = &'a dyn Fn(&Graph, &Limits) -> Result<Plan>;

/// Rewrites a graph.
pub type Optimizer<'a> = &'a dyn Fn(Graph, &Fusion) -> Result<Graph>;

/// How far a graph may be off its unfused self in f64, of the largest element of an output: what passes change is the order of
/// operations that are each off by 2^-53, or 1.1e-16, and f32 would be off by 6e-8.
const OF_F64: f64 = 1e-10;

/// What is tested.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// A device; without one, only the CPU executor is tested.
    pub gpu: Option<&'a Gpu>,
    /// How it is told what to run: a test of the fuzzer plans something else.
    pub planner: Planner<'a>,
    /// How the graph is rewritten before: a test of the fuzzer fuses wrongly.
    pub optimizer: Optimizer<'a>,
}

impl<'a> Subject<'a> {
    /// The engine as it is.
    pub fn new(gpu: Option<&'a Gpu>) -> Self {
        Subject { gpu, planner: &plan, optimizer: &optimize }
    }
}

/// What became of a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All witnesses agree.
    Passed {
        /// The kernel variants that ran, and how often.
        variants: BTreeMap<String, usize>,
    },
    /// The engine says that it cannot run it, and why.
    Refused(Vec<String>),
    /// It disagrees with itself, or it broke.
    Failed(Failure),
}

/// Who disagreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// Importing or optimising the model.
    Import,
    /// The fused graph in f64, against the unfused one.
    Fusion,
    /// The CPU executor in f32, without fusion.
    CpuUnfused,
    /// The CPU executor in f32, with all fusions.
    CpuFused,
    /// The device, without fusion.
    DeviceUnfused,
    /// The device, with all fusions.
    DeviceFused,
    /// A second run of the device, on buffers that held NaN.
    SecondRun,
    /// The images of a batch, one by one.
    BatchSplit,
}

/// A disagreement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Whose.
    pub witness: Witness,
    /// The node, where one is known.
    pub node: String,
    /// What is wrong.
    pub what: String,
    /// Whether numbers are wrong; else something broke.
    pub wrong: bool,
}

impl Failure {
    /// Whether it may have the same cause: the witness is the same, and so is the kind.
    pub fn is_like(&self, other: &Failure) -> bool {
        let text = |failure: &Failure| match failure.wrong {
            true => String::new(),
            false => failure.what.chars().filter(|c| !c.is_ascii_digit()).take(40).collect(),
        };
        self.witness == other.witness && self.wrong == other.wrong && text(self) == text(other)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let witness = match self.witness {
            Witness::Import => "the importer",
            Witness::Fusion => "fusion",
            Witness::CpuUnfused => "the CPU executor, unfused",
            Witness::CpuFused => "the CPU executor, fused",
            Witness::DeviceUnfused => "the device, unfused",
            Witness::DeviceFused => "the device, fused",
            Witness::SecondRun => "a second run of the device",
            Witness::BatchSplit => "the batch, image by image",
        };
        write!(f, "{witness}: {}", self.what)
    }
}

/// Why a check ends early.
enum Stop {
    Refused(Vec<String>),
    Failed(Failure),
}

type Checked<T = ()> = Result<T, Stop>;

/// Attributes an error to a witness.
trait At<T> {
    fn at(self, witness: Witness) -> Checked<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, witness: Witness) -> Checked<T> {
        self.map_err(|error| match error {
            Error::Unsupported { nodes, .. } => {
                Stop::Refused(nodes.iter().map(|node| format!("{}: {}", node.op_type, node.reason)).collect())
            }
            error => Stop::Failed(Failure { witness, node: String::new(), what: error.to_string(), wrong: false }),
        })
    }
}

/// Runs a network in every way and compares.
pub fn check(network: &Network, subject: &Subject<'_>) -> Outcome {
    let mut witness = Witness::Import;
    let checked = catch_unwind(AssertUnwindSafe(|| Case::new(network, subject)?.check(subject, &mut witness)));
    match checked {
        Ok(Ok(variants)) => Outcome::Passed { variants },
        Ok(Err(Stop::Refused(reasons))) => Outcome::Refused(reasons),
        Ok(Err(Stop::Failed(failure))) => Outcome::Failed(failure),
        Err(panic) => {
            let message = panic.downcast_ref::<&str>().map(|text| text.to_string());
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Outcome::Failed(Failure { witness, node: String::new(), what: format!("panic: {message}"), wrong: false })
        }
    }
}

/// A network made ready.
struct Case<'n> {
    network: &'n Network,
    inputs: Named,
    unfused: Graph,
    fused: Graph,
    tolerance: Tolerance,
}

impl<'n> Case<'n> {
    fn new(network: &'n Network, subject: &Subject<'_>) -> Checked<Self> {
        let built = network.build().at(Witness::Import)?;
        let [unfused, fused] = graphs(built.file, subject.optimizer).at(Witness::Import)?;
        let tolerance = match network.numbers {
            Numbers::Integers if is_exact(network).at(Witness::Import)? => Tolerance::AllClose { atol: 0.0, rtol: 0.0 },
            _ => Tolerance::RoundingBound,
        };
        Ok(Case { network, inputs: built.inputs, unfused, fused, tolerance })
    }

    fn check(&self, subject: &Subject<'_>, witness: &mut Witness) -> Checked<BTreeMap<String, usize>> {
        *witness = Witness::Fusion;
        self.fuse()?;
        let mut variants = BTreeMap::new();
        let given = borrowed(&self.inputs);
        for (graph, on_cpu, on_device) in [
            (&self.unfused, Witness::CpuUnfused, Witness::DeviceUnfused),
            (&self.fused, Witness::CpuFused, Witness::DeviceFused),
        ] {
            *witness = on_cpu;
            self.judge(graph, self.tolerance, &given, on_cpu, &mut |show| {
                let mut node = 0..;
                let session = cpu::Session::<f32>::new(graph);
                let on_cpu = Computation::on_cpu();
                session.run_observed(&given, &mut |_, outputs| show(node.next().unwrap_or(0), &on_cpu, outputs))
            })?;
            let Some(gpu) = subject.gpu else { continue };
            *witness = on_device;
            let plan = (subject.planner)(graph, &gpu.limits()).at(on_device)?;
            for dispatch in plan.dispatches() {
                *variants.entry(dispatch.variant.to_string()).or_insert(0) += 1;
            }
            let session = gpu.load(&plan).at(on_device)?;
            let tolerance = self.tolerance_of(&plan);
            let on_device_by = &mut |show: &mut Show<'_>| stepwise(&session, &plan, &given, show);
            let first = self.judge(graph, tolerance, &given, on_device, on_device_by)?;
            *witness = Witness::SecondRun;
            let again = session.poison().and_then(|()| session.run(&given)).at(Witness::SecondRun)?;
            if let Some(name) = first_unlike(&first, &again) {
                let what = format!("'{name}' has other bits than in the first run");
                return Err(Stop::Failed(Failure { witness: Witness::SecondRun, node: name, what, wrong: true }));
            }
        }
        if self.network.batch() > 1 && self.network.is_batchwise() {
            *witness = Witness::BatchSplit;
            self.split(subject)?;
        }
        Ok(variants)
    }

    /// Holds the fused graph against the unfused one, output by output; those that left the numbers of f64 say nothing.
    fn fuse(&self) -> Checked {
        let wide = cast(&self.inputs);
        let run = |graph| cpu::Session::<f64>::new(graph).run(&borrowed(&wide)).at(Witness::Fusion);
        for ((name, wanted), (_, found)) in run(&self.unfused)?.iter().zip(&run(&self.fused)?) {
            let agree = match (wanted, found) {
                (Tensor::Real(wanted), Tensor::Real(found)) => {
                    let largest = wanted.iter().fold(0.0f64, |most, x| most.max(x.abs()));
                    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= OF_F64 * largest.max(1.0);
                    let is_finite = wanted.iter().all(|x| x.is_finite());
                    !is_finite || (wanted.shape() == found.shape() && wanted.iter().zip(found).all(close))
                }
                _ => wanted == found,
            };
            if !agree {
                let what = format!("'{name}' has other numbers in f64 than before the passes");
                let (witness, node) = (Witness::Fusion, name.clone());
                return Err(Stop::Failed(Failure { witness, node, what, wrong: true }));
            }
        }
        Ok(())
    }

    /// Transformed tiles hold no whole numbers, whatever the network computes with.
    fn tolerance_of(&self, plan: &Plan) -> Tolerance {
        let is_plain = plan.steps().iter().all(|step| step.summation == Summation::Plain);
        if is_plain { self.tolerance } else { Tolerance::RoundingBound }
    }

    /// Judges each layer by itself, and by the bound that has accumulated from the inputs on; gives the outputs.
    fn judge(
        &self,
        graph: &Graph,
        tolerance: Tolerance,
        given: &[(&str, &Tensor)],
        witness: Witness,
        run: &mut Run<'_>,
    ) -> Checked<Named> {
        let comparison = |mode| Comparison::new(graph, given, mode, tolerance);
        let mut comparisons = vec![comparison(Mode::EachLayer), comparison(Mode::Cumulative)];
        let mut wrong: Option<Layer> = None;
        let outputs = run(&mut |index, computation, outputs| {
            for comparison in &mut comparisons {
                let layer = comparison.layer(index, computation, outputs[0].clone())?;
                if layer.difference.verdict == Verdict::Mismatch && wrong.is_none() {
                    wrong = Some(layer);
                }
            }
            if outputs[0].as_real().is_ok_and(|array| array.iter().any(|x| !x.is_finite())) {
                // Beyond f32's numbers a device may do as it likes.
                comparisons.clear();
            }
            Ok(())
        });
        let outputs = outputs.at(witness)?;
        let Some(layer) = wrong else { return Ok(outputs) };
        let Layer { name, op, kernel, difference, .. } = layer;
        let what = format!(
            "{op} '{name}' ({kernel}): {} of {} elements are off, the worst at {:?} by {:.3} times what rounding \
             explains; the largest difference is {:.3e}",
            difference.mismatched, difference.total, difference.worst_index, difference.bound_ratio, difference.max_abs
        );
        Err(Stop::Failed(Failure { witness, node: name, what, wrong: true }))
    }

    /// Runs the images of the batch one by one. Each must be within its own bound, and the reference of an image the
    /// reference of the batch at its place; then whole and split may differ by rounding and in nothing else.
    fn split(&self, subject: &Subject<'_>) -> Checked {
        let witness = Witness::BatchSplit;
        let single = self.network.single();
        let single = single.build().and_then(|built| graphs(built.file, subject.optimizer));
        let [unfused, fused] = single.at(witness)?;
        let (batch_reference, reference) =
            (cpu::Session::<f64>::new(&self.unfused), cpu::Session::<f64>::new(&unfused));
        let expected = batch_reference.run(&borrowed(&cast(&self.inputs))).at(witness)?;
        let plan = match subject.gpu {
            Some(gpu) => {
                let plan = (subject.planner)(&fused, &gpu.limits()).at(witness)?;
                Some((gpu.load(&plan).at(witness)?, plan))
            }
            None => None,
        };
        for image in 0..self.network.batch() {
            let inputs: Named = slices(&self.inputs, image);
            let given = borrowed(&inputs);
            let exact = reference.run(&borrowed(&cast(&inputs))).at(witness)?;
            for ((name, exact), (_, expected)) in exact.iter().zip(slices(&expected, image)) {
                let (Tensor::Real(exact), Tensor::Real(expected)) = (exact, expected) else { continue };
                let largest = expected.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()));
                let (got, allowed) = (exact.mapv(|x| x as f32), 1e-6 * largest + FLUSH);
                let off = difference(&got, &expected, |_, x| 1e-6 * x.abs() + allowed);
                if off.verdict == Verdict::Mismatch {
                    let what =
                        format!("the reference of '{name}' for image {image} alone differs by {:.3e}", off.max_abs);
                    return Err(Stop::Failed(Failure { witness, node: name.clone(), what, wrong: true }));
                }
            }
            let Some((session, plan)) = &plan else { continue };
            let tolerance = self.tolerance_of(plan);
            self.judge(&fused, tolerance, &given, witness, &mut |show| stepwise(session, plan, &given, show))?;
        }
        Ok(())
    }
}

/// Shows each layer's outputs, by its node's index and how it was computed.
type Show<'a> = dyn FnMut(usize, &Computation, &[Tensor]) -> Result<()> + 'a;

/// Runs a network and gives its outputs.
type Run<'a> = dyn FnMut(&mut Show<'_>) -> Result<Named> + 'a;

/// Runs on buffers full of NaN, step by step.
fn stepwise(session: &Session, plan: &Plan, given: &[(&str, &Tensor)], show: &mut Show<'_>) -> Result<Named> {
    let is_output =
        |name: &str| plan.outputs().iter().any(|output| matches!(output, Output::Computed(port) if port.name == name));
    let mut results = Vec::new();
    session.poison()?;
    session.run_stepwise(given, &mut |index, outputs| {
        let step = &plan.steps()[index];
        show(step.node, &step.computation(), &outputs)?;
        let named = step.outputs.iter().map(|port| port.name.clone()).zip(outputs);
        results.extend(named.filter(|(name, _)| is_output(name)));
        Ok(())
    })?;
    Ok(results)
}

fn graphs(file: Vec<u8>, optimizer: Optimizer<'_>) -> Result<[Graph; 2]> {
    let graph = Model::from_bytes("network", file)?.graph(&Bindings::default())?;
    Ok([optimize(graph.clone(), &Fusion::none())?, optimizer(graph, &Fusion::all())?])
}

/// Whether no sum of the network can reach 2^24, so that f32 makes no error.
fn is_exact(network: &Network) -> Result<bool> {
    let built = Network { numbers: Numbers::Magnitudes, ..network.clone() }.build()?;
    let [graph, _] = graphs(built.file, &optimize)?;
    let mut largest = 0.0f64;
    cpu::Session::<f64>::new(&graph).run_observed(&borrowed(&cast(&built.inputs)), &mut |_, outputs| {
        for output in outputs {
            largest = output.as_real()?.iter().fold(largest, |most, x| most.max(x.abs()));
        }
        Ok(())
    })?;
    Ok(largest < f64::from(1 << 24))
}

fn cast(named: &Named) -> Vec<(String, Tensor<f64>)> {
    named.iter().map(|(name, tensor)| (name.clone(), tensor.cast())).collect()
}

/// One image of a batch, as a batch of one.
fn slices<T: Clone>(named: &[(String, Tensor<T>)], image: usize) -> Vec<(String, Tensor<T>)> {
    let slice = |tensor: &Tensor<T>| match tensor {
        Tensor::Real(array) => Tensor::Real(array.slice_axis(Axis(0), (image..=image).into()).to_owned()),
        other => other.clone(),
    };
    named.iter().map(|(name, tensor)| (name.clone(), slice(tensor))).collect()
}

/// The first tensor whose bits differ from those of the same name.
fn first_unlike(one: &Named, other: &Named) -> Option<String> {
    let bits = |tensor: &Tensor| -> Vec<u32> {
        tensor.as_real().map(|array| array.iter().map(|x| x.to_bits()).collect()).unwrap_or_default()
    };
    let differs = |(name, tensor): &&(String, Tensor)| {
        other.iter().find(|(same, _)| same == name).is_none_or(|(_, again)| bits(tensor) != bits(again))
    };
    one.iter().find(differs).map(|(name, _)| name.clone())
}
