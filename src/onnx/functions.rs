//! Functions that a model defines for its own use: each call becomes the nodes of the function's body, once, when the file is
//! read, so that nothing after knows of them. What this may make of a small file is bounded.

#[cfg(test)]
mod tests;

use super::import;
use super::proto::{Attribute, AttributeProto, FunctionProto, GraphProto, Model, NodeProto, OpsetImport};
use crate::error::{Error, Result, UnsupportedNode};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Calls within calls.
const MAX_DEPTH: usize = 32;

/// Nodes that all calls together may become: real functions become hundreds.
const MOST_NODES: usize = 1 << 14;

/// Bytes of names and attributes that they may take, besides those of the file.
const MOST_BYTES: usize = 16 << 20;

/// What a name or an attribute takes at least.
const ENTRY: usize = 64;

/// A function's domain, name and overload.
type Key<'a> = (&'a str, &'a str, &'a str);

/// A node that stands where a call stood, with names of its own.
struct Inlined<'a> {
    name: Cow<'a, str>,
    op_type: &'a str,
    domain: &'a str,
    overload: &'a str,
    inputs: Vec<Cow<'a, str>>,
    outputs: Vec<Cow<'a, str>>,
    attributes: Vec<AttributeProto<'a>>,
}

/// The graph without calls of functions, as nodes that own their names; none where the model has no functions.
pub(super) struct Flat<'a>(Vec<Inlined<'a>>);

/// Inlines every call of a model's own functions in its graph. `size` is the file's, in bytes.
///
/// # Errors
/// [`Error::Invalid`] where a function calls itself or a call does not fit it, [`Error::Unsupported`] with every call that is
/// beyond the engine, [`Error::Budget`] where the calls become too much.
pub(super) fn flat<'a>(model: &Model<'a>, size: usize) -> Result<Option<Flat<'a>>> {
    if model.functions.is_empty() {
        return Ok(None);
    }
    let mut functions = HashMap::new();
    for function in &model.functions {
        if functions.insert(key(function.domain, function.name, function.overload), function).is_some() {
            return Err(fault(function, "is defined twice"));
        }
    }
    let mut inliner = Inliner {
        functions,
        opset: import::opset(model),
        graph: model.graph.name,
        taken: names(&model.graph),
        fresh: 0,
        active: Vec::new(),
        nodes: 0,
        bytes: MOST_BYTES.saturating_add(size),
        flat: Vec::new(),
        unsupported: Vec::new(),
    };
    for node in &model.graph.nodes {
        inliner.node(Inlined::from(node.clone()))?;
    }
    match inliner.unsupported.is_empty() {
        true => Ok(Some(Flat(inliner.flat))),
        false => Err(Error::Unsupported { file: String::new(), nodes: inliner.unsupported }),
    }
}

impl<'a> Flat<'a> {
    /// The model with these nodes for its own.
    pub fn model<'f>(&'f self, model: Model<'f>) -> Model<'f>
    where
        'a: 'f,
    {
        let nodes = self.0.iter().map(Inlined::proto).collect();
        Model { graph: GraphProto { nodes, ..model.graph }, functions: Vec::new(), ..model }
    }
}

/// Every name of a value or a node in a graph.
fn names(graph: &GraphProto<'_>) -> HashSet<String> {
    let of_nodes = graph.nodes.iter().flat_map(|node| node.inputs.iter().chain(&node.outputs).chain([&node.name]));
    let inputs = graph.inputs.iter().map(|input| &input.name);
    let constants = graph.initializers.iter().map(|tensor| &tensor.name);
    of_nodes.chain(inputs).chain(constants).map(|name| name.to_string()).collect()
}

fn key<'a>(domain: &'a str, name: &'a str, overload: &'a str) -> Key<'a> {
    (if import::is_onnx(domain) { "" } else { domain }, name, overload)
}

fn fault(function: &FunctionProto<'_>, reason: impl Into<String>) -> Error {
    Error::invalid(format!("function '{}'", function.name), reason.into())
}

/// One walk over the graph and the bodies of what it calls.
struct Inliner<'m, 'a> {
    functions: HashMap<Key<'a>, &'m FunctionProto<'a>>,
    opset: i64,
    graph: &'a str,
    taken: HashSet<String>,
    fresh: usize,
    /// The functions whose bodies are being read, the outermost first.
    active: Vec<Key<'a>>,
    nodes: usize,
    bytes: usize,
    flat: Vec<Inlined<'a>>,
    unsupported: Vec<UnsupportedNode>,
}

impl<'m, 'a> Inliner<'m, 'a> {
    /// Takes a node over, or in its place what it calls.
    fn node(&mut self, node: Inlined<'a>) -> Result<()> {
        let key = key(node.domain, node.op_type, node.overload);
        let Some(&function) = self.functions.get(&key) else {
            self.flat.push(node);
            return Ok(());
        };
        if self.active.contains(&key) {
            return Err(fault(function, "calls itself"));
        }
        if let Err(reason) = self.supported(&node, function) {
            let op_type = node.op_type.to_string();
            self.unsupported.push(UnsupportedNode { node: node.title().to_string(), op_type, reason });
            return Ok(());
        }
        self.active.push(key);
        let done = self.call(&node, function);
        self.active.pop();
        done
    }

    /// Whether the engine can inline it, or why it cannot.
    fn supported(&self, call: &Inlined<'a>, function: &FunctionProto<'a>) -> Result<(), String> {
        if self.active.len() == MAX_DEPTH {
            return Err(format!("functions that nest deeper than {MAX_DEPTH} are not supported"));
        }
        if import::importer(&call.proto()).is_some() {
            return Err("functions of the model that have the name of an ONNX operator are not supported".into());
        }
        let of_onnx = |import: &&OpsetImport<'_>| import::is_onnx(import.domain);
        if let Some(import) = function.opset_imports.iter().filter(of_onnx).find(|import| import.version != self.opset)
        {
            let (theirs, ours) = (import.version, self.opset);
            return Err(format!("functions of opset {theirs} in a model of opset {ours} are not supported"));
        }
        let in_body = function.nodes.iter().flat_map(|node| &node.attributes);
        let attributes = in_body.chain(&function.defaults).chain(&call.attributes);
        if attributes.into_iter().any(|attribute| matches!(attribute.value, Attribute::Graph(_))) {
            return Err("functions with graphs in attributes are not supported".into());
        }
        let known = |name: &str| {
            function.attributes.contains(&name) || function.defaults.iter().any(|default| default.name == name)
        };
        match call.attributes.iter().find(|attribute| !known(attribute.name)) {
            Some(unknown) => Err(format!("the function has no attribute '{}'", unknown.name)),
            None => Ok(()),
        }
    }

    fn call(&mut self, call: &Inlined<'a>, function: &'m FunctionProto<'a>) -> Result<()> {
        for (what, given, most) in [
            ("inputs", call.inputs.len(), function.inputs.len()),
            ("outputs", call.outputs.len(), function.outputs.len()),
        ] {
            if given > most {
                return Err(fault(function, format!("has {most} {what}, but '{}' gives {given}", call.title())));
            }
        }
        let absent = std::iter::repeat(Cow::Borrowed(""));
        let given = call.inputs.iter().cloned().chain(absent);
        let mut values: HashMap<&str, Cow<'a, str>> = function.inputs.iter().copied().zip(given).collect();
        let made: HashSet<&str> = function.nodes.iter().flat_map(|node| &node.outputs).copied().collect();
        if let Some(again) = function.inputs.iter().find(|name| !name.is_empty() && made.contains(**name)) {
            return Err(fault(function, format!("computes its own input '{again}'")));
        }
        let mut handed_on = Vec::new();
        for (&inner, outer) in function.outputs.iter().zip(&call.outputs).filter(|(_, outer)| !outer.is_empty()) {
            // What no node of the body makes, or what is given twice.
            match made.contains(inner) && !values.contains_key(inner) {
                true => _ = values.insert(inner, outer.clone()),
                false => handed_on.push((inner, outer.clone())),
            }
        }
        values.insert("", Cow::Borrowed(""));
        for node in &function.nodes {
            let node = self.renamed(node, call, function, &mut values)?;
            self.node(node)?;
        }
        for (inner, outer) in handed_on {
            let input = self.value(inner, call, &mut values)?;
            self.charge(1, 2 * ENTRY)?;
            self.flat.push(Inlined::identity(input, outer));
        }
        Ok(())
    }

    /// A node of a function's body as it is within one call.
    fn renamed(
        &mut self,
        node: &NodeProto<'a>,
        call: &Inlined<'a>,
        function: &FunctionProto<'a>,
        values: &mut HashMap<&'a str, Cow<'a, str>>,
    ) -> Result<Inlined<'a>> {
        self.charge(1, ENTRY)?;
        let mut all = |names: &[&'a str]| -> Result<Vec<Cow<'a, str>>> {
            names.iter().map(|name| self.value(name, call, values)).collect()
        };
        let (mut inputs, outputs) = (all(&node.inputs)?, all(&node.outputs)?);
        // Operators count what they are given: an optional input that the caller left out is none.
        while inputs.last().is_some_and(|name| name.is_empty()) {
            inputs.pop();
        }
        let mut attributes = Vec::with_capacity(node.attributes.len());
        for attribute in &node.attributes {
            let value = match attribute.value {
                Attribute::Reference(name) => argument(name, call, function),
                _ => Some(&attribute.value),
            };
            if let Some(value) = value {
                self.charge(0, ENTRY.saturating_add(bytes(value)))?;
                attributes.push(AttributeProto { name: attribute.name, value: value.clone() });
            }
        }
        let name = if node.name.is_empty() { Cow::Borrowed("") } else { self.name(node.name, call)? };
        let (op_type, domain, overload) = (node.op_type, node.domain, node.overload);
        Ok(Inlined { name, op_type, domain, overload, inputs, outputs, attributes })
    }

    /// What a value of a body is called outside.
    fn value(
        &mut self,
        inner: &'a str,
        call: &Inlined<'a>,
        values: &mut HashMap<&'a str, Cow<'a, str>>,
    ) -> Result<Cow<'a, str>> {
        if let Some(known) = values.get(inner) {
            self.charge(0, ENTRY.saturating_add(known.len()))?;
            return Ok(known.clone());
        }
        let name = self.name(inner, call)?;
        values.insert(inner, name.clone());
        Ok(name)
    }

    /// A name that nothing else has, after the call's.
    fn name(&mut self, inner: &str, call: &Inlined<'a>) -> Result<Cow<'a, str>> {
        let scope = call.title();
        self.charge(0, 2 * scope.len().saturating_add(inner.len()).saturating_add(ENTRY))?;
        let mut name = format!("{scope}/{inner}");
        while self.taken.contains(&name) {
            self.fresh += 1;
            name = format!("{scope}/{inner}#{}", self.fresh);
        }
        self.taken.insert(name.clone());
        Ok(Cow::Owned(name))
    }

    fn charge(&mut self, nodes: usize, bytes: usize) -> Result<()> {
        let exceeded = |needed, budget, unit| {
            let what = format!("the graph '{}' with its functions inlined", crate::error::escape(self.graph));
            Err(Error::Budget { what, needed: needed as u64, budget: budget as u64, unit })
        };
        let Some(left) = self.bytes.checked_sub(bytes) else {
            return exceeded(bytes, self.bytes, "more bytes of names and attributes");
        };
        if self.nodes + nodes > MOST_NODES {
            return exceeded(self.nodes + nodes, MOST_NODES, "nodes");
        }
        (self.bytes, self.nodes) = (left, self.nodes + nodes);
        Ok(())
    }
}

/// What a call gives for an attribute of the function, or else its default; none where it has neither.
fn argument<'c, 'a>(name: &str, call: &'c Inlined<'a>, function: &'c FunctionProto<'a>) -> Option<&'c Attribute<'a>> {
    let all = call.attributes.iter().chain(&function.defaults);
    all.into_iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
}

/// What a copy of it takes, beyond the file's own bytes that it borrows, or what it becomes once imported.
fn bytes(value: &Attribute<'_>) -> usize {
    match value {
        Attribute::Floats(values) => size_of_val(&values[..]),
        Attribute::Ints(values) => size_of_val(&values[..]),
        Attribute::String(text) => text.len(),
        Attribute::Strings(texts) => texts.iter().map(|text| text.len() + ENTRY).sum(),
        Attribute::Tensor(tensor) => {
            let lists = [
                size_of_val(&tensor.dims[..]),
                size_of_val(&tensor.float_data[..]),
                size_of_val(&tensor.int32_data[..]),
                size_of_val(&tensor.int64_data[..]),
                size_of_val(&tensor.double_data[..]),
                size_of_val(&tensor.uint64_data[..]),
            ];
            let texts = tensor.external_data.iter().map(|(key, value)| key.len() + value.len() + ENTRY);
            lists.into_iter().chain(texts).sum::<usize>() + tensor.raw_data.map_or(0, <[u8]>::len) + tensor.strings
        }
        _ => 0,
    }
}

impl<'a> Inlined<'a> {
    fn from(node: NodeProto<'a>) -> Self {
        let own = |names: Vec<&'a str>| names.into_iter().map(Cow::Borrowed).collect();
        Inlined {
            name: Cow::Borrowed(node.name),
            op_type: node.op_type,
            domain: node.domain,
            overload: node.overload,
            inputs: own(node.inputs),
            outputs: own(node.outputs),
            attributes: node.attributes,
        }
    }

    fn identity(input: Cow<'a, str>, output: Cow<'a, str>) -> Self {
        let none = Cow::Borrowed("");
        let (inputs, outputs) = (vec![input], vec![output]);
        Inlined { name: none, op_type: "Identity", domain: "", overload: "", inputs, outputs, attributes: vec![] }
    }

    /// Its name, or its first output's where it has none.
    fn title(&self) -> &str {
        if self.name.is_empty() { self.outputs.first().map_or("", |name| name) } else { &self.name }
    }

    fn proto(&self) -> NodeProto<'_> {
        NodeProto {
            name: &self.name,
            op_type: self.op_type,
            domain: self.domain,
            overload: self.overload,
            inputs: self.inputs.iter().map(|name| &**name).collect(),
            outputs: self.outputs.iter().map(|name| &**name).collect(),
            attributes: self.attributes.clone(),
        }
    }
}
