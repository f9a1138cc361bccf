//! One fused convolution without ONNX: build a graph, plan it, run it on whatever there is, hold it against the reference.
//!
//! `cargo run --release --example one_conv`

use reluctor::error::Result;
use reluctor::gpu::{Choice, Gpu, Options};
use reluctor::graph::{Graph, Node};
use reluctor::ops::window::{Pads, Window};
use reluctor::ops::{Activation, Conv, Epilogue, Pool, PoolKind};
use reluctor::tensor::{Tensor, TensorType};
use reluctor::{cpu, plan};
use reluctor_lab::compare::{Comparison, Mode, Tolerance};

fn main() -> Result<()> {
    let graph = conv_relu_pool()?;
    let image = Tensor::real(&[1, 3, 32, 32], (0..3 * 32 * 32).map(|i| (i as f32 * 0.37).sin()).collect())?;
    let inputs = [("image", &image)];

    // `gpu` takes the best adapter there is, a software one last; an error says that there is none.
    let Some(gpu) = Gpu::open(&Choice::Gpu, &Options::default())? else {
        let outputs = cpu::Session::<f32>::new(&graph).run(&inputs)?;
        println!("on the CPU: {}", outputs[0].1.tensor_type());
        return Ok(());
    };
    let plan = plan::plan(&graph, &gpu.limits())?;
    print!("{plan}");
    let session = gpu.load(&plan)?;
    let outputs = session.run(&inputs)?;
    println!("on {}: {}", gpu.report().name, outputs[0].1.tensor_type());

    let mut comparison = Comparison::new(&graph, &inputs, Mode::EachLayer, Tolerance::RoundingBound);
    let layer = comparison.layer(0, &plan.steps()[0].computation(), outputs[0].1.clone())?;
    let difference = layer.difference;
    println!(
        "{:?}: off by {:.1e} at most, {:.3} of what rounding explains",
        difference.verdict, difference.max_abs, difference.bound_ratio
    );
    Ok(())
}

/// 3 -> 16 channels, 3x3, padded by 1; then ReLU and a 2x2 max pool, all in one dispatch.
fn conv_relu_pool() -> Result<Graph> {
    let mut graph = Graph { name: "one conv".into(), ..Graph::default() };
    let image = graph.add_value("image", TensorType::real([1, 3, 32, 32]), None);
    let filters = (0..16 * 3 * 9).map(|i| (i as f32 * 1.7).cos() * 0.2).collect();
    let weight = graph.add_constant("weight", Tensor::real(&[16, 3, 3, 3], filters)?);
    let pooled = graph.add_value("pooled", TensorType::real([1, 16, 16, 16]), None);

    let pads = Pads { top: 1, left: 1, bottom: 1, right: 1 };
    let window = Window { kernel: [3, 3], pads, ..Window::pointwise() };
    let halves = Window { kernel: [2, 2], stride: [2, 2], ..Window::pointwise() };
    let pool = Pool { kind: PoolKind::Max, window: halves, ceil: false };
    let epilogue = Epilogue { activation: Activation::Relu, pool: Some(pool), ..Epilogue::default() };
    let conv = Conv { window, groups: 1, epilogue };

    graph.nodes.push(Node::new("conv", conv, vec![Some(image), Some(weight)], vec![pooled]));
    graph.inputs.push(image);
    graph.outputs.push(pooled);
    graph.validate()?;
    Ok(graph)
}
