//! `reluctor inspect`

use super::console::Console;
use super::device_args::DeviceBudgetArgs;
use super::exit::{Code, FINE, code};
use super::model_args::ModelArgs;
use super::quantity::{bytes, count};
use clap::Args;
use reluctor::error::{Error, Result, UnsupportedNode, escape};
use reluctor::onnx::{Declared, DeclaredDim, Model, Outline};
use reluctor::passes::{self, Fusion};
use reluctor::plan::{Limits, plan};
use serde_json::{Value, json};

#[derive(Args)]
pub struct InspectArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    budget: DeviceBudgetArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Prints what the model is; exit code 3 where this engine cannot run all of it.
pub fn run(args: &InspectArgs, console: &Console) -> Result<Code> {
    let model = args.model.open()?;
    let outline = model.outline()?;
    let support = Support::of(&model, &outline, args, console)?;
    if args.json {
        console.json(&document(&model, &outline, &support))?;
    } else {
        console.print(text(&model, &outline))?;
        console.print(support.text())?;
    }
    let unsupported = Error::Unsupported { file: String::new(), nodes: Vec::new() };
    Ok(if support.is_complete() { FINE } else { code(&unsupported) })
}

/// How much of the model this engine runs.
#[derive(Default)]
struct Support {
    /// Nodes that nothing here can run.
    nowhere: Vec<UnsupportedNode>,
    /// Nodes that only the CPU executor can run.
    only_on_cpu: Vec<UnsupportedNode>,
    /// Why the rest could not be looked at: shapes decide what can run.
    unknown: Option<String>,
}

impl Support {
    fn of(model: &Model, outline: &Outline, args: &InspectArgs, console: &Console) -> Result<Self> {
        let graph = match model.graph(&args.model.bindings()) {
            Ok(graph) => graph,
            Err(Error::Unsupported { nodes, .. }) => return Ok(Support { nowhere: nodes, ..Support::default() }),
            Err(Error::Usage(open)) => {
                let nowhere = outline.unknown.clone();
                return Ok(Support { nowhere, unknown: Some(open), ..Support::default() });
            }
            Err(error) => return Err(error),
        };
        console.readings(&graph.readings);
        let limits = Limits { max_memory: args.budget.max_memory(), ..Limits::default() };
        match passes::optimize(graph, &Fusion::all()).and_then(|graph| plan(&graph, &limits)) {
            Ok(_) => Ok(Support::default()),
            Err(Error::Unsupported { nodes, .. }) => Ok(Support { only_on_cpu: nodes, ..Support::default() }),
            // A larger device may take what the smallest one does not.
            Err(error @ Error::DeviceLimit { .. }) => {
                Ok(Support { unknown: Some(error.to_string()), ..Support::default() })
            }
            Err(error) => Err(error),
        }
    }

    fn is_complete(&self) -> bool {
        self.nowhere.is_empty() && self.only_on_cpu.is_empty()
    }

    fn text(&self) -> String {
        let list = |title: &str, nodes: &[UnsupportedNode]| {
            let rows: String = nodes.iter().map(|node| format!("  {node}\n")).collect();
            if nodes.is_empty() { rows } else { format!("{title}: {}\n{rows}", nodes.len()) }
        };
        let rest = match &self.unknown {
            Some(reason) if self.is_complete() => format!("supported    not known: {reason}\n"),
            Some(reason) => format!("the rest is not known: {reason}\n"),
            None if self.is_complete() => "supported    every node\n".to_string(),
            None => String::new(),
        };
        list("unsupported nodes", &self.nowhere) + &list("nodes that run on the CPU only", &self.only_on_cpu) + &rest
    }
}

fn text(model: &Model, outline: &Outline) -> String {
    let mut text = format!("model        {}\n", escape(model.name()));
    if !outline.producer.is_empty() {
        text += &format!("producer     {}\n", escape(&outline.producer));
    }
    text += &format!("opset        {} (IR version {})\n", outline.opset, outline.ir_version);
    text.extend(outline.inputs.iter().map(|input| format!("input        {}\n", declared(input))));
    for (name, output) in &outline.outputs {
        let output = output.as_ref().map_or_else(|| format!("{}, of no declared type", escape(name)), declared);
        text += &format!("output       {output}\n");
    }
    let operators: Vec<String> = outline.operators.iter().map(|(op, n)| format!("{} {n}", escape(op))).collect();
    text += &format!("operators    {}\n", operators.join(", "));
    let converted = match &outline.converted[..] {
        [] => String::new(),
        types => format!(", {} in the file", types.join(", ").to_lowercase()),
    };
    text + &format!("parameters   {} ({}{converted})\n", count(outline.parameters), bytes(outline.weights_bytes))
}

fn declared(value: &Declared) -> String {
    format!("{} {} {}", escape(&value.name), value.dims_in_words(), value.element)
}

fn document(model: &Model, outline: &Outline, support: &Support) -> Value {
    json!({
        "model": model.name(),
        "producer": outline.producer,
        "ir_version": outline.ir_version,
        "opset": outline.opset,
        "inputs": outline.inputs.iter().map(declared_document).collect::<Vec<_>>(),
        "outputs": outline.outputs.iter().map(output_document).collect::<Vec<_>>(),
        "operators": outline.operators,
        "parameters": outline.parameters,
        "converted": outline.converted,
        "weights_bytes": outline.weights_bytes,
        "unsupported": support.nowhere,
        "unsupported_on_device": support.only_on_cpu,
        "unknown_because": support.unknown,
    })
}

fn output_document((name, output): &(String, Option<Declared>)) -> Value {
    output.as_ref().map_or_else(|| json!({ "name": name, "type": null, "shape": null }), declared_document)
}

/// An open dimension is its name, or null where it has none.
fn declared_document(value: &Declared) -> Value {
    let dim = |dim: &DeclaredDim| match dim {
        DeclaredDim::Size(size) => json!(size),
        DeclaredDim::Open(name) if name.is_empty() => Value::Null,
        DeclaredDim::Open(name) => json!(name),
    };
    let shape = value.dims.as_ref().map(|dims| dims.iter().map(dim).collect::<Vec<_>>());
    json!({ "name": value.name, "type": value.element.to_string(), "shape": shape })
}
