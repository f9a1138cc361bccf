//! The network and the pairs of inputs that it is tried on.

use super::XrayArgs;
use crate::batches::{Batches, Request};
use crate::bind::{Bound, bind};
use crate::device_args::Device;
use crate::feed::Fed;
use crate::input_args::album;
use reluctor::error::{Error, Result};
use reluctor::onnx::{Bindings, DeclaredDim, Model};
use reluctor::passes::Fusion;
use reluctor::tensor::{Named, Tensor};
use reluctor_vision::default_model;

/// Items that run at once: enough to keep a device busy, few enough to hold several copies of every layer.
const BATCH: usize = 16;

/// A network bound to its data.
pub struct Prepared {
    /// With batches of several items where the model lets their number open.
    pub bound: Bound,
    /// The first of each pair, batch by batch.
    pub x: Vec<Named>,
    /// The second of each.
    pub y: Vec<Named>,
    /// How many pairs there are.
    pub pairs: usize,
    /// Items in a batch.
    pub batch: usize,
    /// How the second of a pair is found, in words.
    pub pairing: &'static str,
    /// Whether the model leaves open how many items there are.
    pub open: bool,
}

impl XrayArgs {
    /// The network with its inputs, as pairs.
    pub fn prepare(&self, model: &Model, device: &Device) -> Result<Prepared> {
        let bindings = self.model.bindings();
        let feed = self.feed(model, &bindings)?;
        let open = leaves_items_open(model, &bindings)?;
        let bound = self.bind(model, &bindings, feed, device, self.model.batch())?;
        let graph = &bound.network.graph;
        let results = graph.nodes.iter().flat_map(|node| &node.outputs).chain(&graph.inputs).chain(&graph.outputs);
        if let Some(value) = results.map(|&id| graph.value(id)).find(|value| value.ty.shape.contains(&0)) {
            let name = reluctor::error::escape(&value.name);
            return Err(Error::Usage(format!("'{name}' holds no elements: there is nothing to measure")));
        }
        let (x, y, pairing) = pairs(bound.batches, &bound.feed, self.pairs)?;
        let batch = bound.batches.size.max(1);
        Ok(Prepared { pairs: x.len() * batch, batch, x, y, pairing, bound, open })
    }

    /// Binds and optimises with every activation and pool a node of its own, unless the command line says otherwise.
    pub fn bind(
        &self,
        model: &Model,
        bindings: &Bindings,
        feed: Vec<Fed>,
        device: &Device,
        batch: Option<usize>,
    ) -> Result<Bound> {
        let request = Request { batch, usual: Some(BATCH) };
        let fusion = self.fusion.fusion_or(Fusion::without(&["residual", "activation", "pool"]))?;
        bind(model, bindings, feed, request, self.inputs.policy(), &fusion, &mut |graph| {
            self.faults.plan_on(device, graph)
        })
    }

    /// What the network is fed; random numbers where nothing is given.
    pub fn feed(&self, model: &Model, bindings: &Bindings) -> Result<Vec<Fed>> {
        if self.model.is_default() && self.inputs.is_empty() {
            let pictures = default_model::images()?;
            return self.inputs.feed(model, bindings, &pictures, Some(default_model::PRESET))?.complete();
        }
        self.inputs.clone().and_random().feed(model, bindings, &album(&[])?, None)?.complete()
    }
}

/// Whether no input that holds reals fixes how many items there are.
fn leaves_items_open(model: &Model, bindings: &Bindings) -> Result<bool> {
    let fixed = |declared: &reluctor::onnx::Declared| match declared.dims.as_deref() {
        Some([DeclaredDim::Open(name), ..]) => bindings.dims.contains_key(name),
        Some(_) => true,
        None => bindings.shapes.contains_key(&declared.name),
    };
    Ok(!model.inputs()?.iter().any(fixed) && bindings.shapes.is_empty())
}

/// Each item with the next one, and the last with the first; where there is one item, it and its mirror image.
fn pairs(batches: Batches, feed: &[Fed], most: Option<usize>) -> Result<(Vec<Named>, Vec<Named>, &'static str)> {
    if !feed.iter().any(|fed| fed.open) {
        return Err(Error::Usage("the network has no input that holds reals".to_string()));
    }
    let size = batches.size.max(1);
    // An incomplete batch is left out, unless there is no other.
    let whole = (batches.items / size).max(1);
    let count = most.map_or(whole, |most| most.div_ceil(size).min(whole));
    let (pairing, paired): (_, Vec<Fed>) = if batches.items > 1 {
        ("each input with the next one", feed.iter().map(|fed| changed(fed, rolled)).collect())
    } else {
        let mirror: Vec<Fed> = feed.iter().map(|fed| changed(fed, mirrored)).collect();
        if feed.iter().zip(&mirror).any(|(fed, mirrored)| fed.tensor != mirrored.tensor) {
            ("the input with its mirror image", mirror)
        } else {
            let negative = |tensor: &Tensor| match tensor {
                Tensor::Real(array) => Tensor::Real(-array),
                other => other.clone(),
            };
            (
                "the input with its negative, since it is its own mirror image",
                feed.iter().map(|fed| changed(fed, negative)).collect(),
            )
        }
    };
    let batch = |feed: &[Fed]| (0..count).map(|index| batches.inputs(index, feed)).collect::<Vec<_>>();
    Ok((batch(feed), batch(&paired), pairing))
}

fn changed(fed: &Fed, change: impl Fn(&Tensor) -> Tensor) -> Fed {
    let tensor = if fed.open { change(&fed.tensor) } else { fed.tensor.clone() };
    Fed { name: fed.name.clone(), tensor, source: fed.source.clone(), open: fed.open }
}

/// Each item where the one before it was.
fn rolled(tensor: &Tensor) -> Tensor {
    let items = tensor.shape().first().copied().unwrap_or(0);
    let rows: Vec<usize> = (0..items).map(|row| (row + 1) % items).collect();
    if items == 0 { tensor.clone() } else { tensor.select_items(&rows) }
}

/// Each item along all of its axes: whichever of them are width, height and channels.
fn mirrored(tensor: &Tensor) -> Tensor {
    tensor.reversed(1..tensor.shape().len())
}
