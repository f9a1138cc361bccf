//! Messages -> [`Graph`]: one walk in topological order that gives every value a concrete type, and a content where it
//! does not depend on the inputs.

use super::dialect::Dialect;
use super::external::External;
use super::node::{Names, OnnxNode};
use super::proto::{self, Attribute, Dim, GraphProto, NodeProto};
use super::{Bindings, Declared, data, declared};
use crate::error::{Error, Result, UnsupportedNode, escape};
use crate::graph::{Graph, ValueId};
use crate::ops::*;
use crate::tensor::{Tensor, TensorType, checked_len};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Reads one node and adds what it means to the graph.
type Import = fn(&mut OnnxNode<'_>) -> OpResult<()>;

/// What an operator is for, as the README's table groups them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Family {
    Convolution,
    Pooling,
    Activation,
    Normalization,
    Product,
    Arithmetic,
    Reduction,
    /// Comparisons and truth values.
    Logic,
    /// Moves elements.
    Layout,
    /// Moves nothing: the same elements under another shape.
    Shape,
    /// Computed on the host when shapes are bound.
    Host,
}

/// ONNX's operators that this engine knows, what they are for, and who reads them.
pub static OPERATORS: &[(&str, Family, Import)] = &[
    ("Abs", Family::Arithmetic, Unary::import),
    ("Add", Family::Arithmetic, Binary::import),
    ("And", Family::Logic, Logic::import),
    ("ArgMax", Family::Reduction, ArgMost::import),
    ("ArgMin", Family::Reduction, ArgMost::import),
    ("Atan", Family::Host, host::trigonometry),
    ("AveragePool", Family::Pooling, Pool::import),
    ("BatchNormalization", Family::Normalization, BatchNormalization::import),
    ("Cast", Family::Layout, Cast::import),
    ("CastLike", Family::Layout, Cast::import_like),
    ("Ceil", Family::Arithmetic, Unary::import),
    ("Celu", Family::Activation, Activation::import),
    ("Clip", Family::Activation, Activation::import),
    ("Concat", Family::Layout, Concat::import),
    ("Constant", Family::Host, host::constant),
    ("ConstantOfShape", Family::Host, host::constant_of_shape),
    ("Conv", Family::Convolution, Conv::import),
    ("ConvTranspose", Family::Convolution, ConvTranspose::import),
    ("Cos", Family::Host, host::trigonometry),
    ("DepthToSpace", Family::Layout, Transpose::import_depth_to_space),
    ("DequantizeLinear", Family::Arithmetic, quantization::import_dequantize),
    ("Div", Family::Arithmetic, Binary::import),
    ("Dropout", Family::Normalization, Reshape::import_identity),
    ("Einsum", Family::Product, einsum::import),
    ("Elu", Family::Activation, Activation::import),
    ("Equal", Family::Logic, Logic::import),
    ("Erf", Family::Arithmetic, Unary::import),
    ("Exp", Family::Arithmetic, Unary::import),
    ("Expand", Family::Layout, Expand::import),
    ("Flatten", Family::Shape, Reshape::import_flatten),
    ("Floor", Family::Arithmetic, Unary::import),
    ("Gather", Family::Layout, Gather::import),
    ("GatherElements", Family::Layout, scatter::import_gather_elements),
    ("GatherND", Family::Layout, scatter::import_gather_nd),
    ("Gelu", Family::Activation, Activation::import),
    ("Gemm", Family::Product, MatMul::import_gemm),
    ("GlobalAveragePool", Family::Pooling, Reduce::import_global_pool),
    ("GlobalLpPool", Family::Pooling, reductions::import_global_lp_pool),
    ("GlobalMaxPool", Family::Pooling, Reduce::import_global_pool),
    ("Greater", Family::Logic, Logic::import),
    ("GreaterOrEqual", Family::Logic, Logic::import),
    ("GroupNormalization", Family::Normalization, normalization::import_group),
    ("HardSigmoid", Family::Activation, Activation::import),
    ("HardSwish", Family::Activation, Activation::import),
    ("Hardmax", Family::Normalization, normalization::import_hardmax),
    ("Identity", Family::Shape, Reshape::import_identity),
    ("If", Family::Host, host::branch),
    ("InstanceNormalization", Family::Normalization, normalization::import_instance),
    ("LRN", Family::Normalization, normalization::import_lrn),
    ("LayerNormalization", Family::Normalization, normalization::import_layer),
    ("LeakyRelu", Family::Activation, Activation::import),
    ("Less", Family::Logic, Logic::import),
    ("LessOrEqual", Family::Logic, Logic::import),
    ("Log", Family::Arithmetic, Unary::import),
    ("LogSoftmax", Family::Normalization, normalization::import_log_softmax),
    ("LpNormalization", Family::Normalization, normalization::import_lp),
    ("LpPool", Family::Pooling, Pool::import_lp),
    ("MatMul", Family::Product, MatMul::import_matmul),
    ("Max", Family::Arithmetic, Binary::import_variadic),
    ("MaxPool", Family::Pooling, Pool::import),
    ("MaxUnpool", Family::Pooling, MaxUnpool::import),
    ("Mean", Family::Arithmetic, Binary::import_variadic),
    ("MeanVarianceNormalization", Family::Normalization, normalization::import_mean_variance),
    ("Min", Family::Arithmetic, Binary::import_variadic),
    ("Mish", Family::Activation, Activation::import),
    ("Mod", Family::Host, host::remainder),
    ("Mul", Family::Arithmetic, Binary::import),
    ("Neg", Family::Arithmetic, Unary::import),
    ("NonZero", Family::Host, host::non_zero),
    ("Not", Family::Logic, Logic::import_not),
    ("OneHot", Family::Logic, one_hot::import),
    ("Or", Family::Logic, Logic::import),
    ("PRelu", Family::Activation, Binary::import),
    ("Pad", Family::Layout, Pad::import),
    ("Pow", Family::Arithmetic, Binary::import_pow),
    ("QuantizeLinear", Family::Arithmetic, quantization::import_quantize),
    ("Range", Family::Host, host::range),
    ("Reciprocal", Family::Arithmetic, Unary::import),
    ("ReduceL1", Family::Reduction, reductions::import),
    ("ReduceL2", Family::Reduction, reductions::import),
    ("ReduceLogSum", Family::Reduction, reductions::import),
    ("ReduceLogSumExp", Family::Reduction, reductions::import),
    ("ReduceMax", Family::Reduction, Reduce::import),
    ("ReduceMean", Family::Reduction, Reduce::import),
    ("ReduceMin", Family::Reduction, Reduce::import),
    ("ReduceProd", Family::Reduction, Reduce::import),
    ("ReduceSum", Family::Reduction, Reduce::import),
    ("ReduceSumSquare", Family::Reduction, reductions::import),
    ("Relu", Family::Activation, Activation::import),
    ("Reshape", Family::Shape, Reshape::import),
    ("Resize", Family::Layout, resize::import),
    ("Round", Family::Arithmetic, Unary::import),
    ("Scatter", Family::Layout, scatter::import_scatter_elements),
    ("ScatterElements", Family::Layout, scatter::import_scatter_elements),
    ("ScatterND", Family::Layout, scatter::import_scatter_nd),
    ("Selu", Family::Activation, Activation::import),
    ("Shape", Family::Host, host::shape),
    ("Sigmoid", Family::Activation, Activation::import),
    ("Sign", Family::Arithmetic, Unary::import),
    ("Sin", Family::Host, host::trigonometry),
    ("Size", Family::Host, host::size),
    ("Slice", Family::Layout, Slice::import),
    ("Softmax", Family::Normalization, Softmax::import),
    ("Softplus", Family::Activation, Activation::import),
    ("Softsign", Family::Activation, Activation::import),
    ("SpaceToDepth", Family::Layout, Transpose::import_space_to_depth),
    ("Split", Family::Layout, Slice::import_split),
    ("Sqrt", Family::Arithmetic, Unary::import),
    ("Squeeze", Family::Shape, Reshape::import_squeeze),
    ("Sub", Family::Arithmetic, Binary::import),
    ("Sum", Family::Arithmetic, Binary::import_variadic),
    ("Swish", Family::Activation, Activation::import),
    ("Tanh", Family::Activation, Activation::import),
    ("ThresholdedRelu", Family::Activation, Activation::import),
    ("Tile", Family::Layout, Expand::import_tile),
    ("TopK", Family::Reduction, TopK::import),
    ("Transpose", Family::Layout, Transpose::import),
    ("Unsqueeze", Family::Shape, Reshape::import_unsqueeze),
    ("Upsample", Family::Layout, resize::import),
    ("Where", Family::Logic, Select::import),
    ("Xor", Family::Logic, Logic::import),
];

/// There are two or three versions a year, so one beyond this is a mistake.
const NEWEST_OPSET: i64 = 999;

/// The version of the operators in ONNX's own domain.
pub(super) fn opset(model: &proto::Model<'_>) -> i64 {
    model.opset_imports.iter().filter(|import| is_onnx(import.domain)).map(|import| import.version).max().unwrap_or(0)
}

pub(super) fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

pub(super) fn graph(model: &proto::Model<'_>, external: &External, bindings: &Bindings) -> Result<Graph> {
    let dialect = Dialect::of(model, bindings);
    let opset = dialect.opset;
    // A model may have only operators of other domains: they are refused one by one.
    if opset < 1 && model.graph.nodes.iter().any(|node| is_onnx(node.domain)) {
        return Err(Error::invalid("opset import", format!("version {opset} of ONNX's operators does not exist")));
    }
    if opset > NEWEST_OPSET {
        return Err(beyond(&model.graph, &format!("version {opset} of ONNX's operators is not known")));
    }
    refuse(&model.graph)?;
    declared_once(&model.graph)?;
    bindings.budget.nodes(model.graph.name, model.graph.nodes.len())?;
    let mut graph = Graph::default();
    graph.constants.memory = bindings.budget.memory;
    let mut names = Names::default();
    initializers(&mut graph, &mut names, &model.graph, external)?;
    inputs(&mut graph, &mut names, &model.graph, bindings)?;
    nodes(&mut graph, &mut names, &model.graph, dialect, external)?;
    graph.outputs = outputs(&model.graph, &names)?;
    for (output, id) in model.graph.outputs.iter().zip(&graph.outputs) {
        if let Ok(declared) = declared(output) {
            graph.values[id.0].element = Some(declared.element);
        }
    }
    Ok(graph)
}

/// The values that a graph gives.
fn outputs(proto: &GraphProto<'_>, names: &Names) -> Result<Vec<ValueId>> {
    let missing = |name: &str| Error::invalid(format!("output '{name}'"), "no node computes it");
    proto.outputs.iter().map(|output| names.get(output.name).copied().ok_or_else(|| missing(output.name))).collect()
}

/// What a node reads, and what the nodes of its branches do.
fn reads<'n, 'a>(node: &'n NodeProto<'a>) -> Box<dyn Iterator<Item = &'a str> + 'n> {
    let branches = node.attributes.iter().filter_map(|attribute| match &attribute.value {
        Attribute::Graph(graph) => Some(graph.nodes.iter().flat_map(reads)),
        _ => None,
    });
    Box::new(node.inputs.iter().copied().chain(branches.flatten()))
}

/// Reads every node, and lists all that are unsupported.
fn nodes(
    graph: &mut Graph,
    names: &mut Names,
    proto: &GraphProto<'_>,
    dialect: Dialect,
    external: &External,
) -> Result<()> {
    let mut unsupported = Vec::new();
    // Values that an unsupported node would have made: nodes that read them are passed over.
    let mut missing: HashSet<&str> = HashSet::new();
    for node in sorted(proto, names)? {
        if reads(node).any(|name| missing.contains(name)) {
            missing.extend(node.outputs.iter().copied());
            if importer(node).is_none() {
                unsupported.push(unknown(node));
            }
            continue;
        }
        match import(graph, names, node, dialect, external) {
            Ok(()) => missing.extend(node.outputs.iter().filter(|name| !names.contains_key(**name))),
            Err(Problem::Unsupported(reason)) => {
                missing.extend(node.outputs.iter().copied());
                unsupported.push(UnsupportedNode { reason, ..unknown(node) });
            }
            Err(Problem::Failed(Error::Unsupported { nodes, .. })) => {
                missing.extend(node.outputs.iter().copied());
                unsupported.extend(nodes);
            }
            Err(problem) => return Err(problem.at(name(node))),
        }
    }
    match unsupported.is_empty() {
        true => Ok(()),
        false => Err(Error::Unsupported { file: String::new(), nodes: unsupported }),
    }
}

/// Reads the body of a node as if it stood in the node's place, and returns what it gives. Its names are its own.
pub(super) fn body(
    graph: &mut Graph,
    outer: &Names,
    proto: &GraphProto<'_>,
    dialect: Dialect,
    external: &External,
) -> Result<Vec<ValueId>> {
    if proto.sparse_initializers > 0 || !proto.inputs.is_empty() {
        return Err(Error::invalid(
            format!("graph '{}'", proto.name),
            "is no branch: it has inputs or sparse constants",
        ));
    }
    let mut names = outer.clone();
    initializers(graph, &mut names, proto, external)?;
    nodes(graph, &mut names, proto, dialect, external)?;
    outputs(proto, &names)
}

/// A node's name, or its first output's where it has none.
pub(super) fn name<'a>(node: &NodeProto<'a>) -> &'a str {
    if node.name.is_empty() { node.outputs.first().copied().unwrap_or("") } else { node.name }
}

/// Who reads a node; none where its operator is not known.
pub(super) fn importer(node: &NodeProto<'_>) -> Option<Import> {
    let known = OPERATORS.binary_search_by(|(op_type, ..)| (*op_type).cmp(node.op_type)).ok();
    known.filter(|_| is_onnx(node.domain)).map(|at| OPERATORS[at].2)
}

/// The nodes whose operators are not among [`OPERATORS`].
pub(super) fn unknown_operators(graph: &GraphProto<'_>) -> Vec<UnsupportedNode> {
    graph.nodes.iter().filter(|node| importer(node).is_none()).map(unknown).collect()
}

fn unknown(node: &NodeProto<'_>) -> UnsupportedNode {
    let domain = if is_onnx(node.domain) { String::new() } else { format!(" of domain '{}'", node.domain) };
    UnsupportedNode {
        node: name(node).to_string(),
        op_type: node.op_type.to_string(),
        reason: format!("the operator{domain} is not supported"),
    }
}

fn import(
    graph: &mut Graph,
    names: &mut Names,
    node: &NodeProto<'_>,
    dialect: Dialect,
    external: &External,
) -> OpResult<()> {
    let Some(import) = importer(node) else { return Err(Problem::Unsupported(unknown(node).reason)) };
    let before = graph.nodes.len();
    let mut reader = OnnxNode::new(graph, names, node, name(node), dialect, external);
    import(&mut reader)?;
    reader.finished()?;
    graph.nodes[before..].iter_mut().for_each(|made| made.origin = Some(name(node).to_string()));
    Ok(())
}

/// What a whole graph needs and this engine lacks.
fn beyond(graph: &GraphProto<'_>, what: &str) -> Error {
    let node = UnsupportedNode { node: graph.name.to_string(), op_type: "graph".into(), reason: what.into() };
    Error::Unsupported { file: String::new(), nodes: vec![node] }
}

/// Outputs are told apart by their names, and a graph without any has nothing to compute.
fn declared_once(graph: &GraphProto<'_>) -> Result<()> {
    let mut seen = HashSet::new();
    match graph.outputs.iter().find(|output| !seen.insert(output.name)) {
        Some(again) => Err(Error::invalid(format!("output '{}'", again.name), "is declared twice")),
        None if seen.is_empty() => Err(Error::invalid("graph", "has no output")),
        None => Ok(()),
    }
}

fn refuse(graph: &GraphProto<'_>) -> Result<()> {
    match graph.sparse_initializers {
        0 => Ok(()),
        _ => Err(beyond(graph, "sparse initializers are not supported")),
    }
}

fn initializers(graph: &mut Graph, names: &mut Names, model: &GraphProto<'_>, external: &External) -> Result<()> {
    for initializer in &model.initializers {
        let tensor = data::tensor(initializer, external)?;
        graph.constants.given += tensor.shape().iter().product::<usize>();
        let id = graph.add_constant(initializer.name, tensor);
        graph.values[id.0].element = data::element(initializer.data_type).ok();
        if names.insert(initializer.name.to_string(), id).is_some() {
            return Err(Error::invalid(format!("tensor '{}'", initializer.name), "is defined twice"));
        }
    }
    Ok(())
}

/// An input of the same name as an initializer has that for its default, and the caller may still bind it to another.
fn inputs(graph: &mut Graph, names: &mut Names, model: &GraphProto<'_>, bindings: &Bindings) -> Result<()> {
    let mut seen = HashSet::new();
    for input in &model.inputs {
        if !seen.insert(input.name) {
            return Err(Error::invalid(format!("input '{}'", input.name), "is declared twice"));
        }
        if let Some(constant) = bindings.constants.get(input.name) {
            let declared = declared(input)?;
            fits(constant, &declared, bindings)?;
            let id = graph.add_constant(input.name, constant.clone());
            graph.values[id.0].element = Some(declared.element);
            names.insert(input.name.to_string(), id);
        } else if !names.contains_key(input.name) {
            let declared = declared(input)?;
            let shape = declared.shape(bindings)?;
            checked_len(&shape)?;
            let ty = TensorType { kind: declared.kind(), shape };
            bindings.budget.tensor(input.name, &ty)?;
            let id = graph.add_value(input.name, ty, None);
            graph.values[id.0].element = Some(declared.element);
            graph.inputs.push(id);
            names.insert(input.name.to_string(), id);
        }
    }
    let known = |name: &String| seen.contains(name.as_str());
    if let Some(name) = bindings.shapes.keys().chain(bindings.constants.keys()).find(|name| !known(name)) {
        return Err(Error::Usage(format!("the model has no input '{}'", escape(name))));
    }
    let dims = model.inputs.iter().filter_map(|input| input.tensor.as_ref()?.dims.as_ref()).flatten();
    let open = dims.filter_map(|dim| if let Dim::Name(name) = *dim { Some(name) } else { None });
    let open: BTreeSet<&str> = open.collect();
    match bindings.dims.keys().find(|name| !open.contains(name.as_str())) {
        Some(name) => {
            let named: Vec<String> = open.iter().map(|name| escape(name)).collect();
            let named = if named.is_empty() { "none".to_string() } else { named.join(", ") };
            Err(Error::Usage(format!("the model has no dimension '{}'; it names: {named}", escape(name))))
        }
        None => Ok(()),
    }
}

/// Whether an input's content is what the model declares.
fn fits(constant: &Tensor, declared: &Declared, bindings: &Bindings) -> Result<()> {
    declared.takes(constant, "it")?;
    let shapes = [(declared.name.clone(), constant.shape().to_vec())].into();
    declared.shape(&Bindings { shapes, dims: bindings.dims.clone(), ..Bindings::default() }).map(drop)
}

/// The nodes, each after those whose results it reads. Files in order stay in order.
fn sorted<'m, 'a>(graph: &'m GraphProto<'a>, names: &Names) -> Result<Vec<&'m NodeProto<'a>>> {
    let mut producer: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for &output in node.outputs.iter().filter(|output| !output.is_empty()) {
            if names.contains_key(output) || producer.insert(output, index).is_some() {
                return Err(Error::invalid(format!("tensor '{output}'"), "is defined twice"));
            }
        }
    }
    let mut waits = vec![0usize; graph.nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        for &input in node.inputs.iter().filter(|input| !input.is_empty() && !names.contains_key(**input)) {
            let Some(&before) = producer.get(input) else {
                let culprit = format!("node '{}'", name(node));
                return Err(Error::invalid(culprit, format!("reads '{input}', which nothing defines")));
            };
            waits[index] += 1;
            readers[before].push(index);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..waits.len()).filter(|&index| waits[index] == 0).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(index) = ready.pop_first() {
        order.push(&graph.nodes[index]);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    match waits.iter().position(|&left| left > 0) {
        Some(index) => Err(Error::invalid(format!("node '{}'", name(&graph.nodes[index])), "is part of a cycle")),
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_table_is_sorted_for_binary_search() {
        assert!(OPERATORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
