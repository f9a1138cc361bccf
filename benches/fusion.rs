//! `cargo bench`: convolutions with what can be fused into them, fused against unfused. `-- --smoke` runs each once.
//!
//! Our own harness rather than a library's: fused and unfused have to be timed in turn, round by round, and nothing is
//! timed before it was compared with the reference.

use reluctor::bench::{ConvSpec, Length, Ratio, Statistics, interleaved};
use reluctor::compare::{Comparison, Mode, Tolerance, Verdict};
use reluctor::error::{Error, Result};
use reluctor::gpu::{Choice, Gpu, Options, Session};
use reluctor::graph::Graph;
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::plan;
use reluctor::tensor::Tensor;
use std::time::Duration;

/// Layers of ResNet, MobileNet and VGG with each part of an epilogue.
const SPECS: [&str; 6] = [
    "1x64x56x56,64x3x3,p1,act=relu",
    "1x64x56x56,64x3x3,p1,act=relu,residual",
    "1x256x14x14,256x3x3,p1,act=relu",
    "1x64x56x56,256x1x1,act=relu",
    "1x144x56x56,144x3x3,p1,g144,act=clip",
    "1x3x112x112,16x3x3,p1,act=relu,pool=max2s2",
];

fn main() -> Result<()> {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let Some(gpu) = Gpu::open(&Choice::Gpu, &Options::default())? else {
        return Err(Error::Device("no adapter to measure".into()));
    };
    println!("{}; wall clock, upload and readback included", gpu.report().name);
    for spec in SPECS {
        one(&gpu, spec, smoke)?;
    }
    Ok(())
}

fn one(gpu: &Gpu, spec: &str, smoke: bool) -> Result<()> {
    let graph = spec.parse::<ConvSpec>()?.graph()?;
    let inputs: Vec<(String, Tensor)> = graph.inputs.iter().map(|&id| wave(&graph, id)).collect::<Result<_>>()?;
    let given: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let fused = checked(gpu, optimize(graph.clone(), &Fusion::all())?, &given)?;
    let unfused = checked(gpu, optimize(graph, &Fusion::none())?, &given)?;
    let length = Length {
        iterations: if smoke { 1 } else { 15 },
        duration: if smoke { Duration::ZERO } else { Duration::from_secs(2) },
        warmup: if smoke { Duration::ZERO } else { Duration::from_millis(200) },
    };
    let mut run_fused = || fused.run(&given).map(drop);
    let mut run_unfused = || unfused.run(&given).map(drop);
    let times = interleaved(&mut [&mut run_fused, &mut run_unfused], length)?;
    let [fast, slow] = [Statistics::of(&times[0]), Statistics::of(&times[1])];
    let ratio = Ratio::of(&times[1], &times[0]);
    let [low, high] = ratio.ci95;
    println!(
        "{spec:<48} fused {:8.2} ms, unfused {:8.2} ms, {:.2}x ({low:.2} to {high:.2})",
        fast.median, slow.median, ratio.speedup
    );
    Ok(())
}

fn wave(graph: &Graph, id: reluctor::graph::ValueId) -> Result<(String, Tensor)> {
    let value = graph.value(id);
    let data = (0..value.ty.elements()?).map(|i| (i as f32 * 0.619).sin()).collect();
    Ok((value.name.clone(), Tensor::real(&value.ty.shape, data)?))
}

/// A session whose every layer was within the rounding bound.
fn checked(gpu: &Gpu, graph: Graph, inputs: &[(&str, &Tensor)]) -> Result<Session> {
    let plan = plan(&graph, &gpu.limits())?;
    let session = gpu.load(&plan)?;
    let mut comparison = Comparison::new(&graph, inputs, Mode::EachLayer, Tolerance::RoundingBound);
    session.run_stepwise(inputs, &mut |step, outputs| {
        let step = &plan.steps[step];
        let layer = comparison.layer(step.node, step.kernels(), outputs[0].clone())?;
        match layer.difference.verdict {
            Verdict::Mismatch => Err(Error::Internal(format!("{} computes another function", layer.name))),
            _ => Ok(()),
        }
    })?;
    Ok(session)
}
