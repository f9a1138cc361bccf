//! From a network that fails to a small one that still does: fewer nodes, smaller sizes, plainer attributes.

use super::network::{Constant, Id, Layer, Network};
use reluctor::onnx::AttributeValue;
use std::collections::HashSet;

/// Tries smaller networks, each once, as long as one of them `fails` and at most `tries` times; gives the smallest.
pub fn shrink(network: &Network, tries: usize, fails: &mut dyn FnMut(&Network) -> bool) -> Network {
    let mut smallest = network.clone();
    let mut left = tries;
    'smaller: loop {
        for candidate in smaller(&smallest) {
            if left == 0 {
                return smallest;
            }
            left -= 1;
            if fails(&candidate) {
                smallest = candidate;
                continue 'smaller;
            }
        }
        return smallest;
    }
}

/// Networks with a little less, the boldest first.
fn smaller(network: &Network) -> Vec<Network> {
    let mut all = Vec::new();
    all.extend(network.layers.iter().map(|layer| up_to(network, layer.id)));
    all.extend(network.layers.iter().filter_map(|layer| given(network, layer.id)));
    all.extend(network.layers.iter().map(|layer| without(network, layer)));
    all.extend(smaller_inputs(network));
    all.push(Network { largest: 2.0, ..network.clone() });
    for (at, layer) in network.layers.iter().enumerate() {
        all.extend(plainer(layer).into_iter().map(|layer| {
            let mut changed = network.clone();
            changed.layers[at] = layer;
            changed
        }));
    }
    all.retain(|candidate| !candidate.layers.is_empty() && candidate != network);
    all
}

/// Only what a value needs.
fn up_to(network: &Network, wanted: Id) -> Network {
    let mut needed = HashSet::from([wanted]);
    let mut kept = network.clone();
    for layer in network.layers.iter().rev() {
        if needed.contains(&layer.id) {
            needed.extend(&layer.inputs);
        }
    }
    kept.layers.retain(|layer| needed.contains(&layer.id));
    kept.inputs.retain(|(id, _)| needed.contains(id));
    kept
}

/// With a node's result given as an input in its place, and without what only that node needed.
fn given(network: &Network, id: Id) -> Option<Network> {
    let mut types = network.types().ok()?;
    let shape = types.remove(&id)?.shape;
    let mut changed = network.clone();
    changed.layers.retain(|layer| layer.id != id);
    changed.inputs.push((id, shape));
    Some(without_unread(changed))
}

/// With a node's first input in place of its result.
fn without(network: &Network, layer: &Layer) -> Network {
    let mut changed = network.clone();
    changed.layers.retain(|other| other.id != layer.id);
    for input in changed.layers.iter_mut().flat_map(|other| &mut other.inputs) {
        if *input == layer.id {
            *input = layer.inputs[0];
        }
    }
    without_unread(changed)
}

fn without_unread(mut network: Network) -> Network {
    let read: HashSet<Id> = network.layers.iter().flat_map(|layer| layer.inputs.iter().copied()).collect();
    network.inputs.retain(|(id, _)| read.contains(id));
    network
}

/// With a size of the inputs made smaller: of one of them, or of all that have that axis.
fn smaller_inputs(network: &Network) -> Vec<Network> {
    let mut all = Vec::new();
    let rank = network.inputs.iter().map(|(_, shape)| shape.len()).max().unwrap_or(0);
    for axis in 0..rank {
        // The batch is the same for all inputs.
        let alone = (0..network.inputs.len()).filter(|_| axis > 0).map(Some);
        for only in std::iter::once(None).chain(alone) {
            for change in [|_| 1, |size| size / 2, |size| size - 1] as [fn(usize) -> usize; 3] {
                let mut changed = network.clone();
                for (at, (_, shape)) in changed.inputs.iter_mut().enumerate() {
                    if axis < shape.len() && only.is_none_or(|only| only == at) {
                        shape[axis] = change(shape[axis]).max(1);
                    }
                }
                all.push(changed);
            }
        }
    }
    all
}

/// A node with less of something; some of these break rules, and then fail otherwise or not at all.
fn plainer(layer: &Layer) -> Vec<Layer> {
    let mut all = Vec::new();
    for at in 0..layer.attributes.len() {
        let mut changed = layer.clone();
        changed.attributes.remove(at);
        all.push(changed);
        let (name, AttributeValue::Ints(values)) = &layer.attributes[at] else { continue };
        let least = i64::from(!name.contains("pad"));
        for index in 0..values.len() {
            for value in [least, values[index] - 1] {
                let mut changed = layer.clone();
                let mut fewer = values.clone();
                fewer[index] = value.max(least);
                changed.attributes[at].1 = AttributeValue::Ints(fewer);
                all.push(changed);
            }
        }
    }
    for at in 0..layer.constants.len() {
        let mut changed = layer.clone();
        changed.constants.truncate(at);
        all.push(changed);
        for change in [|_| 1, |out| out / 2, |out| out - 1] as [fn(usize) -> usize; 3] {
            let mut changed = layer.clone();
            if let Constant::Filters { out } | Constant::TransposedFilters { out } | Constant::Matrix { out } =
                &mut changed.constants[at]
            {
                *out = change(*out).max(1);
                all.push(changed);
            }
        }
    }
    if layer.inputs.len() > 1 {
        let mut changed = layer.clone();
        changed.inputs.pop();
        all.push(changed);
    }
    all.retain(|candidate| candidate != layer);
    all
}
