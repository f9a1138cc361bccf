//! Runs a network on a device as `run` does, layer by layer, and judges each by the reference.

use super::batches::Named;
use super::device_args::Device;
use crate::compare::{Comparison, Layer, Mode, Tolerance, Verdict};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensor::Tensor;
use crate::{cpu, plan};

/// Shows each layer's judgement to `each`, whose error stops the run.
///
/// # Errors
/// Where the network cannot run, and what `each` returns.
pub fn judge(
    device: &Device,
    graph: &Graph,
    inputs: &Named,
    mode: Mode,
    tolerance: Tolerance,
    each: &mut dyn FnMut(Layer) -> Result<()>,
) -> Result<()> {
    let inputs = borrowed(inputs);
    let mut comparison = Comparison::new(graph, &inputs, mode, tolerance);
    let mut layer = |node: usize, kernel: String, outputs: &[Tensor]| {
        let output = outputs.first().ok_or_else(|| Error::Internal("a layer without an output".into()))?;
        each(comparison.layer(node, kernel, output)?)
    };
    match device {
        Device::Cpu => {
            let mut nodes = 0..graph.nodes.len();
            let session = cpu::Session::<f32>::new(graph);
            let mut show = |_: &_, outputs: &[Tensor]| layer(nodes.next().unwrap_or(0), "cpu".to_string(), outputs);
            session.run_observed(&inputs, &mut show).map(drop)
        }
        Device::Gpu(gpu) => {
            let plan = plan::plan(graph, &gpu.limits())?;
            gpu.load(&plan)?.run_stepwise(&inputs, &mut |step, outputs| {
                let step = &plan.steps[step];
                layer(step.node, step.kernels(), &outputs)
            })
        }
    }
}

/// The first layer that computes another function, where there is one.
pub fn first_wrong(device: &Device, graph: &Graph, inputs: &Named) -> Result<Option<String>> {
    let mut wrong = None;
    judge(device, graph, inputs, Mode::EachLayer, Tolerance::RoundingBound, &mut |layer| {
        if layer.difference.verdict == Verdict::Mismatch {
            wrong.get_or_insert(layer.name);
        }
        Ok(())
    })?;
    Ok(wrong)
}

/// What the engine's functions take.
pub fn borrowed(named: &Named) -> Vec<(&str, &Tensor)> {
    named.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}
