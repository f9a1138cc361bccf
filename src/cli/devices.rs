//! `reluctor devices`

use super::console::Console;
use super::quantity::{bytes, count};
use crate::error::Result;
use crate::gpu::{self, AdapterFeatures, AdapterLimits, AdapterReport, Choice};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

#[derive(Args)]
pub struct DevicesArgs {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DevicesArgs, console: &Console) -> Result<ExitCode> {
    let adapters = gpu::adapters();
    let auto = Choice::Auto.pick(&adapters);
    if args.json {
        // Null is the CPU executor, or an environment variable that names no adapter.
        let auto = auto.as_ref().ok().copied().flatten();
        console.json(&json!({ "adapters": adapters, "auto": auto }))?;
    } else {
        for adapter in &adapters {
            console.line(describe(adapter))?;
        }
        console.line(match &auto {
            Ok(Some(index)) => format!("auto: adapter {index}"),
            Ok(None) if adapters.is_empty() => "auto: cpu (no adapter was found)".to_string(),
            Ok(None) => "auto: cpu (no adapter is a GPU; software adapters run only when named)".to_string(),
            Err(error) => format!("auto: {error}"),
        })?;
    }
    Ok(ExitCode::SUCCESS)
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
        (features.subgroup, subgroups.as_str()),
        (features.immediates, "immediates"),
        (features.pipeline_cache, "pipeline cache"),
        (!features.cooperative_matrix.is_empty(), matrices.as_str()),
    ];
    let named: Vec<&str> = present.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
    if named.is_empty() { "no optional features".to_string() } else { named.join(", ") }
}
