//! wonnx: prints `ms MEDIAN` for the network in its argument, a JSON object. wonnx reads `WGPU_BACKEND` and
//! `WGPU_ADAPTER_NAME`, and panics where no adapter has that name.

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;
use std::{env, fs};

use serde::Deserialize;
use wonnx::Session;
use wonnx::utils::{InputTensor, OutputTensor};

#[derive(Deserialize)]
struct Task {
    model: String,
    input_name: String,
    /// Files of little-endian f32.
    input: String,
    output: String,
    runs: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let task: Task = serde_json::from_str(&env::args().nth(1).ok_or("usage: wonnx-peer TASK")?)?;
    let bytes = fs::read(&task.input)?;
    let input: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let given = HashMap::from([(task.input_name, InputTensor::from(&input[..]))]);
    let session = pollster::block_on(Session::from_path(&task.model))?;

    let mut times = Vec::new();
    let mut result = HashMap::new();
    for _ in 0..3 + task.runs {
        let start = Instant::now();
        result = pollster::block_on(session.run(&given))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let timed = &mut times[3..];
    timed.sort_by(f64::total_cmp);

    let Some(OutputTensor::F32(output)) = result.into_values().next() else { return Err("no f32 output".into()) };
    fs::write(&task.output, output.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("ms {}", (timed[(timed.len() - 1) / 2] + timed[timed.len() / 2]) / 2.0);
    Ok(())
}
