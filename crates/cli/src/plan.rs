//! `reluctor plan`

use super::console::Console;
use super::device_args::{DeviceBudgetArgs, KernelArgs, open_with_cache};
use super::exit::{Code, FINE};
use super::fusion_args::FusionArgs;
use super::model_args::ModelArgs;
use super::quantity::{bytes, count, flops};
use clap::Args;
use reluctor::error::{Result, escape};
use reluctor::gpu::{Choice, Options};
use reluctor::graph::Graph;
use reluctor::passes;
use reluctor::plan::{Dispatch, Limits, Plan, Step, plan};
use serde_json::{Value, json};

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    /// Plan for this device's limits; left out, for the limits that WebGPU guarantees everywhere
    #[arg(long, value_name = "DEVICE", help_heading = "Device")]
    device: Option<Choice>,
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    budget: DeviceBudgetArgs,
    /// Say for each step what was fused into it, why a neighbour was not, and why its kernel was chosen
    #[arg(long)]
    explain: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: &PlanArgs, console: &Console) -> Result<Code> {
    let graph = args.model.open()?.graph(&args.model.bindings())?;
    let graph = passes::optimize(graph, &args.fusion.fusion()?)?;
    let plan = plan(&graph, &args.limits(console)?)?;
    console.readings(&graph.readings);
    args.kernel.warn_where_unused(Some(&plan.kernels()), console);
    if args.json {
        console.json(&document(&graph, &plan))?;
    } else {
        console.print(text(&graph, &plan, args.explain))?;
    }
    Ok(FINE)
}

impl PlanArgs {
    fn limits(&self, console: &Console) -> Result<Limits> {
        let conv_kernel = self.kernel.forced();
        let max_memory = self.budget.max_memory();
        let guaranteed = Limits { conv_kernel: conv_kernel.clone(), max_memory, ..Limits::default() };
        let Some(choice) = &self.device else { return Ok(guaranteed) };
        let gpu = open_with_cache(choice, Options { conv_kernel, ..self.budget.options() })?;
        if gpu.is_none() {
            console.note("the CPU executor needs no plan; this one is for the limits that WebGPU guarantees");
        }
        Ok(gpu.map_or(guaranteed, |gpu| gpu.limits()))
    }
}

fn text(graph: &Graph, plan: &Plan, explain: bool) -> String {
    let mut text = format!("{}\n", escape(&graph.name));
    for step in plan.steps() {
        text += &describe(step);
        if explain {
            text += &explanation(step);
        }
    }
    if explain {
        text.extend(graph.notes.iter().map(|note| format!("note: {}\n", escape(note))));
    }
    text + &totals(plan)
}

fn describe(step: &Step) -> String {
    let shapes: Vec<String> = step.outputs.iter().map(|port| port.ty.to_string()).collect();
    let mut text = format!("{} {} -> {}\n", step.op, escape(&step.name), shapes.join(", "));
    for dispatch in &step.dispatches {
        text += &format!("    {} in {} groups\n", dispatch.variant, groups(dispatch));
    }
    if step.dispatches.is_empty() {
        text += "    no dispatch\n";
    }
    text
}

fn groups(dispatch: &Dispatch) -> String {
    dispatch.groups.map(|groups| groups.to_string()).join("x")
}

fn explanation(step: &Step) -> String {
    let fused = step.fused.iter().map(|name| format!("    fused: {}\n", escape(name)));
    let not_fused = step.not_fused_because.iter().map(|reason| format!("    not fused: {}\n", escape(reason)));
    let chosen = step.chosen_because.iter().map(|reason| format!("    chosen: {reason}\n"));
    let work = format!("    {}, {} moved\n", flops(step.flops), bytes(step.bytes));
    fused.chain(not_fused).chain(chosen).chain([work]).collect()
}

fn totals(plan: &Plan) -> String {
    format!(
        "{} dispatches, {}, {} moved, {} of weights, {} on the device\n",
        count(plan.dispatches().count() as u64),
        flops(plan.flops()),
        bytes(plan.bytes()),
        bytes(plan.weights_bytes()),
        bytes(plan.peak_bytes()),
    )
}

fn document(graph: &Graph, plan: &Plan) -> Value {
    json!({
        "model": graph.name,
        "dispatches": plan.dispatches().count(),
        "flops": plan.flops(),
        "bytes": plan.bytes(),
        "peak_bytes": plan.peak_bytes(),
        "weights_bytes": plan.weights_bytes(),
        "live_bytes": plan.live_bytes(),
        "steps": plan.steps().iter().map(step_document).collect::<Vec<_>>(),
        "notes": graph.notes,
        "readings": graph.readings,
    })
}

/// `kernel` and `groups` are those of the step's first dispatch, null where it has none; `dispatches` has all.
fn step_document(step: &Step) -> Value {
    let dispatch = |dispatch: &Dispatch| json!({ "kernel": dispatch.variant.to_string(), "groups": dispatch.groups });
    let first = step.dispatches.first();
    json!({
        "node": step.name,
        "op": step.op,
        "kernel": first.map(|dispatch| dispatch.variant.to_string()),
        "groups": first.map(|dispatch| dispatch.groups),
        "shape": step.outputs.first().map(|port| &port.ty.shape),
        "fused": step.fused,
        "not_fused_because": step.not_fused_because,
        "chosen_because": step.chosen_because,
        "flops": step.flops,
        "bytes": step.bytes,
        "dispatches": step.dispatches.iter().map(dispatch).collect::<Vec<_>>(),
    })
}
