//! burn-wgpu: prints `ms MEDIAN` for the convolution with bias and ReLU in its argument, a JSON object. burn tunes its kernels in the first runs,
//! which are not counted.

use std::error::Error;
use std::time::Instant;
use std::{env, fs};

use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use serde::Deserialize;

#[derive(Deserialize)]
struct Task {
    /// `[n, c, h, w]`.
    shape: [usize; 4],
    convolution: Convolution,
    /// Files of little-endian f32.
    input: String,
    output: String,
    runs: usize,
    /// Takes Vulkan's software adapter, not the GPU that burn prefers.
    software: bool,
}

#[derive(Deserialize)]
struct Convolution {
    /// `[out_c, c / groups, kernel_h, kernel_w]`.
    filters: [usize; 4],
    stride: usize,
    pad: usize,
    groups: usize,
    /// Files of little-endian f32.
    weights: String,
    bias: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let task: Task = serde_json::from_str(&env::args().nth(1).ok_or("usage: burn-peer TASK")?)?;
    let conv = &task.convolution;
    let device = Device::wgpu(if task.software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice });
    let weights = Tensor::<4>::from_data(TensorData::new(read(&conv.weights)?, conv.filters), &device);
    let bias = Tensor::<1>::from_data(TensorData::new(read(&conv.bias)?, [conv.filters[0]]), &device);
    let options = ConvOptions::new([conv.stride; 2], [conv.pad; 2], [1; 2], conv.groups);
    let input = read(&task.input)?;

    let mut times = Vec::new();
    let mut output = Vec::new();
    for _ in 0..3 + task.runs {
        let given = TensorData::new(input.clone(), task.shape);
        let start = Instant::now();
        let x = Tensor::<4>::from_data(given, &device);
        let y = relu(conv2d(x, weights.clone(), Some(bias.clone()), options.clone()));
        output = y.into_data().try_to_vec::<f32>().map_err(|error| format!("{error:?}"))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let timed = &mut times[3..];
    timed.sort_by(f64::total_cmp);

    fs::write(&task.output, output.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("ms {}", (timed[(timed.len() - 1) / 2] + timed[timed.len() / 2]) / 2.0);
    Ok(())
}

fn read(file: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    Ok(fs::read(file)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}
