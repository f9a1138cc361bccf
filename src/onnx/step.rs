//! Which part of a model's file a step of its graph came from.

use super::extract::Part;
use super::{Bindings, Model, import};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::tensor::Kind;
use std::collections::{BTreeSet, HashMap, HashSet};

impl Model {
    /// The part of the file that became some nodes of `unfused`, as a model of its own. Where a node of the file became
    /// several of the graph, all of it is in the part. What the part is given and what it gives are values that `fused` has
    /// too, so that a run of that tells each.
    ///
    /// `nodes` are indices into `unfused`, the graph of this model under `bindings`; `fused` was made from it.
    ///
    /// # Errors
    /// [`Error::Internal`] where a node came from no file.
    pub fn part_of(&self, nodes: &[usize], unfused: &Graph, fused: &Graph, bindings: &Bindings) -> Result<Part> {
        let model = self.parse()?;
        let ids: HashMap<&str, ValueId> =
            unfused.values.iter().enumerate().map(|(at, value)| (value.name.as_str(), ValueId(at))).collect();
        let stored: HashSet<ValueId> =
            fused.nodes.iter().flat_map(|node| &node.outputs).chain(&fused.inputs).copied().collect();
        let initializers: HashSet<&str> = model.graph.initializers.iter().map(|tensor| tensor.name).collect();
        let mut chosen = BTreeSet::new();
        for &node in nodes {
            let node = &unfused.nodes[node];
            let origin = node.origin.clone();
            chosen.insert(origin.ok_or_else(|| Error::Internal(format!("{} came from no file", node.name)))?);
        }
        loop {
            let in_part = || model.graph.nodes.iter().filter(|node| chosen.contains(import::name(node)));
            let made: HashSet<&str> = in_part().flat_map(|node| &node.outputs).copied().collect();
            let mut read: Vec<&str> = in_part().flat_map(|node| &node.inputs).copied().collect();
            read.retain(|name| !name.is_empty() && !made.contains(name));
            let mut seen = HashSet::new();
            read.retain(|name| seen.insert(*name));
            let (mut inputs, mut constants, mut more) = (Vec::new(), Vec::new(), Vec::new());
            for name in read {
                let value = ids.get(name).map(|id| (id, unfused.value(*id)));
                match value {
                    Some((_, value)) if value.constant.is_some() => {
                        if !initializers.contains(name) || bindings.constants.contains_key(name) {
                            constants
                                .extend(value.constant.as_deref().map(|tensor| (name.to_string(), tensor.clone())));
                        }
                    }
                    Some((id, value)) if stored.contains(id) => inputs.push((name.to_string(), value.ty.clone())),
                    _ => more
                        .extend(model.graph.nodes.iter().find(|node| node.outputs.contains(&name)).map(import::name)),
                }
            }
            if more.is_empty() {
                let given = |name: &&str| ids.get(*name).is_some_and(|id| stored.contains(id));
                let outputs = in_part().flat_map(|node| &node.outputs).copied().filter(given);
                let outputs = outputs.map(|name| (name.to_string(), unfused.value(ids[name]).ty.clone()));
                let outputs: Vec<_> = outputs.collect();
                let named = inputs.iter().chain(&outputs).map(|(name, _)| name);
                let named = named.chain(constants.iter().map(|(name, _)| name));
                let elements = named.map(|name| (name.clone(), unfused.element(ids[name.as_str()])));
                let elements = elements.filter(|(_, element)| element.kind() == Kind::Int).collect();
                return Ok(Part { nodes: chosen.into_iter().collect(), inputs, outputs, constants, elements });
            }
            chosen.extend(more.into_iter().map(str::to_string));
        }
    }
}
