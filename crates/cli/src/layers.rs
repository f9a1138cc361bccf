//! Runs a network on a device as `run` does, layer by layer, and judges each by the reference.

use super::device_args::Device;
use reluctor::engine::Engine;
use reluctor::error::{Error, Result};
use reluctor::graph::Graph;
use reluctor::tensor::{Named, Tensor, borrowed};
use reluctor_lab::compare::{Comparison, Guilty, Layer, Mode, Tolerance, Verdict};

/// Shows each layer's judgement to `each`, which says whether to go on. Returns the first layer that computes another
/// function, with the tensors that it was given.
///
/// # Errors
/// Where the network cannot run, and what `each` returns.
pub fn judge(
    engine: &Engine<'_>,
    graph: &Graph,
    inputs: &[(&str, &Tensor)],
    mode: Mode,
    tolerance: Tolerance,
    each: &mut dyn FnMut(Layer) -> Result<Go>,
) -> Result<Option<Guilty>> {
    let mut comparison = Comparison::new(graph, inputs, mode, tolerance);
    let mut stopped = false;
    let outcome = engine.run_stepwise(inputs, &mut |ran| {
        let output = ran.outputs.into_iter().next();
        let output = output.ok_or_else(|| Error::Internal("a layer without an output".into()))?;
        stopped = each(comparison.layer(ran.node, ran.computation, output)?)? == Go::Stop;
        // Ends the run; it is no error.
        if stopped { Err(Error::Internal("stopped".into())) } else { Ok(()) }
    });
    if !stopped {
        outcome?;
    }
    Ok(comparison.guilty())
}

/// Whether to judge the layers that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    On,
    Stop,
}

/// Every layer of a loaded graph, each judged on its own.
pub fn all(engine: &Engine<'_>, graph: &Graph, inputs: &[(&str, &Tensor)], tolerance: Tolerance) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    judge(engine, graph, inputs, Mode::EachLayer, tolerance, &mut |layer| {
        layers.push(layer);
        Ok(Go::On)
    })?;
    Ok(layers)
}

/// The first layer that computes another function, where there is one.
pub fn first_wrong(device: &Device, graph: &Graph, inputs: &Named) -> Result<Option<String>> {
    let engine = Engine::with_plan(device, graph, device.plan(graph)?.as_ref())?;
    let layers = all(&engine, graph, &borrowed(inputs), Tolerance::RoundingBound)?;
    Ok(layers.into_iter().find(|layer| layer.difference.verdict == Verdict::Mismatch).map(|layer| layer.name))
}
