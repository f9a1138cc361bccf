//! `--bundle`: a reproducer of one step of a network.

use super::VERSION;
use super::bind::Bound;
use super::device_args::Device;
use clap::Args;
use reluctor::cpu;
use reluctor::engine::Engine;
use reluctor::error::{Error, Result, escape};
use reluctor::onnx::{Bindings, Model};
use reluctor::tensor::{Named, Tensor, TensorType};
use reluctor_lab::bundle::{self, Bundle};
use reluctor_lab::compare::fused_into;
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(Args)]
pub struct BundleArgs {
    /// Write a reproducer of the first layer that diverges: a model of that layer, its tensors, its shaders
    #[arg(long, value_name = "DIR", conflicts_with = "suite", help_heading = "Output")]
    pub bundle: Option<PathBuf>,
    /// The layer to reproduce, whether it diverges or not
    #[arg(long, value_name = "NAME", requires = "bundle", help_heading = "Output")]
    pub bundle_step: Option<String>,
}

impl BundleArgs {
    /// The node of the fused graph to write a reproducer of, where one is asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] where no layer has the name.
    pub fn node(&self, bound: &Bound, guilty: Option<usize>) -> Result<Option<usize>> {
        let Some(name) = &self.bundle_step else { return Ok(guilty.filter(|_| self.bundle.is_some())) };
        let nodes = &bound.network.graph.nodes;
        let found = nodes.iter().position(|node| node.name == *name || node.fused.contains(name));
        found.map(Some).ok_or_else(|| Error::Usage(format!("no layer is named '{}'", escape(name))))
    }

    /// Runs the network once more for the tensors around the node, and writes the folder. Returns the replaying command.
    ///
    /// # Errors
    /// Those of the run, and of [`bundle::write`].
    pub fn write(&self, step: &Suspect<'_>, device: &Device, options: &str) -> Result<Option<String>> {
        let (Some(folder), Some(node)) = (&self.bundle, step.node) else { return Ok(None) };
        let (model, bound) = (step.model, step.bound);
        let (unfused, fused) = (&bound.network.unfused, &bound.network.graph);
        let part = model.part_of(&fused_into(unfused, fused, node), unfused, fused, &constants(bound))?;
        let file = model.extract(&part)?;
        let known = captured(step, &[&part.inputs[..], &part.outputs[..]].concat())?;
        let named = |values: &[(String, TensorType)]| -> Named {
            values.iter().filter_map(|(name, _)| Some((name.clone(), known.get(name)?.clone()))).collect()
        };
        let inputs = named(&part.inputs);
        let bundle = Bundle {
            summary: format!("Layer '{}' of {} on {}.", fused.nodes[node].name, model.name(), device.report()),
            reference: reference(&file, &step_bindings(bound), &inputs)?,
            device: named(&part.outputs),
            model: file,
            inputs,
            elements: part.elements,
            shaders: shaders(node, bound),
            adapter: device.description(VERSION)?,
            options: options.to_string(),
        };
        bundle::write(folder, &bundle)?;
        Ok(Some(bundle::command(folder, options)))
    }
}

/// A step that a reproducer is wanted of, and the run that it is part of.
pub struct Suspect<'a> {
    /// The node of the fused graph; none where nothing is wrong and nothing was asked for.
    pub node: Option<usize>,
    /// The file.
    pub model: &'a Model,
    /// What became of it.
    pub bound: &'a Bound,
    /// The same, loaded.
    pub engine: &'a Engine<'a>,
    /// What it is given.
    pub inputs: &'a Named,
}

/// What is left to say of a step that is a model by itself, with shapes of its own.
fn step_bindings(bound: &Bound) -> Bindings {
    Bindings { align_corners: bound.bindings.align_corners, ..Bindings::default() }
}

/// The same with the inputs that became constants.
fn constants(bound: &Bound) -> Bindings {
    let constants = bound.feed.iter().filter(|fed| !fed.open).map(|fed| (fed.name.clone(), fed.tensor.clone()));
    Bindings { constants: constants.collect(), ..step_bindings(bound) }
}

/// The device's own tensors of these values, from one more run.
fn captured(step: &Suspect<'_>, wanted: &[(String, TensorType)]) -> Result<HashMap<String, Tensor>> {
    let is_wanted = |name: &String| wanted.iter().any(|(wanted, _)| wanted == name);
    let mut known: HashMap<String, Tensor> = step.inputs.iter().filter(|(name, _)| is_wanted(name)).cloned().collect();
    step.engine.observe(step.inputs, &mut |outputs| {
        known.extend(outputs.into_iter().filter(|(name, _)| is_wanted(name)));
        Ok(())
    })?;
    match wanted.iter().find(|(name, _)| !known.contains_key(name)) {
        Some((name, _)) => Err(Error::Internal(format!("'{}' was never computed", escape(name)))),
        None => Ok(known),
    }
}

/// What the small model computes in f64, rounded once.
fn reference(file: &[u8], bindings: &Bindings, inputs: &Named) -> Result<Named> {
    let graph = Model::from_bytes("the bundled model", file.to_vec())?.graph(bindings)?;
    let wide: Vec<(&str, Tensor<f64>)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.cast())).collect();
    let wide: Vec<(&str, &Tensor<f64>)> = wide.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let outputs = cpu::Session::<f64>::new(&graph).run(&wide)?;
    Ok(outputs.into_iter().map(|(name, tensor)| (name, tensor.cast())).collect())
}

/// The shaders that the node's step ran, as they were compiled.
fn shaders(node: usize, bound: &Bound) -> Vec<(String, String)> {
    let step = bound.network.plan.iter().flat_map(|plan| plan.steps()).find(|step| step.node == node);
    let variants = step.into_iter().flat_map(|step| &step.dispatches).map(|dispatch| &dispatch.variant);
    variants.map(|variant| (variant.to_string(), variant.source())).collect()
}
