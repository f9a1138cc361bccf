//! `reluctor devices`

use super::console::Console;
use super::exit::{Code, FINE};
use super::quantity::{bytes, count};
use clap::Args;
use reluctor::error::{Error, Result};
use reluctor::gpu::{self, AdapterFeatures, AdapterLimits, AdapterReport, Choice, Gpu, Options};
use reluctor_lab::special_values::SpecialValues;
use serde_json::json;

#[derive(Args)]
pub struct DevicesArgs {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DevicesArgs, console: &Console) -> Result<Code> {
    let adapters = gpu::adapters();
    let auto = Choice::Auto.pick(&adapters);
    if args.json {
        // Null is the CPU executor, or an environment variable that names no adapter.
        let auto = auto.as_ref().ok().copied().flatten();
        let mut report = json!({ "adapters": adapters, "auto": auto });
        if console.is_verbose() {
            // By adapter; null where it does not open.
            let tried = adapters.iter().map(|adapter| special_values(adapter).ok());
            report["nan"] = json!(tried.collect::<Vec<_>>());
        }
        console.json(&report)?;
    } else {
        for adapter in &adapters {
            console.line(describe(adapter))?;
            if console.is_verbose() {
                console.line(match special_values(adapter) {
                    Ok(tried) => format!("    special values {tried}"),
                    Err(error) => format!("    special values unknown: {error}"),
                })?;
            }
        }
        console.line(match &auto {
            Ok(Some(index)) => format!("auto: adapter {index}"),
            Ok(None) if adapters.is_empty() => "auto: cpu (no adapter was found)".to_string(),
            Ok(None) => "auto: cpu (no adapter is a GPU; software adapters run only when named)".to_string(),
            Err(error) => format!("auto: {error}"),
        })?;
    }
    Ok(FINE)
}

/// What an adapter makes of NaN and the like. It is opened for that.
fn special_values(adapter: &AdapterReport) -> Result<SpecialValues> {
    let gpu = Gpu::open(&Choice::Index(adapter.index), &Options::default())?;
    SpecialValues::of(&gpu.ok_or_else(|| Error::Internal("an adapter is no CPU executor".to_string()))?)
}

fn describe(adapter: &AdapterReport) -> String {
    format!("{adapter}\n    {}\n    {}", limits(&adapter.limits), features(&adapter.features))
}

fn limits(limits: &AdapterLimits) -> String {
    format!(
        "buffer {}, binding {}, workgroup {} invocations and {}, {} workgroups a dimension, {} storage buffers",
        bytes(limits.max_buffer_size),
        bytes(limits.max_storage_buffer_binding_size),
        count(limits.max_compute_invocations_per_workgroup.into()),
        bytes(limits.max_compute_workgroup_storage_size.into()),
        count(limits.max_compute_workgroups_per_dimension.into()),
        limits.max_storage_buffers_per_shader_stage,
    )
}

fn features(features: &AdapterFeatures) -> String {
    let subgroups = format!("subgroups of {} to {}", features.subgroup_min_size, features.subgroup_max_size);
    let matrices = format!("matrices {}", features.cooperative_matrix.join(" "));
    let present = [
        (features.timestamp_query, "timestamps"),
        (features.timestamp_query_inside_passes, "timestamps inside passes"),
        (features.shader_f16, "f16"),
        (features.shader_int64, "int64"),
        (features.subgroup, subgroups.as_str()),
        (features.immediates, "immediates"),
        (features.pipeline_cache, "pipeline cache"),
        (!features.cooperative_matrix.is_empty(), matrices.as_str()),
    ];
    let named: Vec<&str> = present.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
    if named.is_empty() { "no optional features".to_string() } else { named.join(", ") }
}
