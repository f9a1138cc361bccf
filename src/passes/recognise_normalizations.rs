//! Normalizations over rows that are written as their formula, `(x - mean) / sqrt(variance + epsilon)`: as exporters write
//! them, and as the operators of ONNX are read. Each becomes one operator, which then takes in the scale, the bias and the
//! reshapes around it.

use super::{Change, Rewrites, arithmetic, fuse_pairs, number};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Activation, Binary, BinaryFunction, ChannelAffine, Normalize, Op, ReduceKind, Unary, UnaryFunction};
use crate::tensor::{Tensor, row_major_slice};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    let users = Users::of(graph);
    let found = (0..graph.nodes.len()).filter_map(|last| recognised(graph, &users, last));
    let found =
        found.filter(|found| rewrites.allow(&graph.nodes[found.last].name, &graph.value(found.x).name)).collect();
    replace(graph, found);
    fuse_pairs(graph, rewrites, |graph, producer, consumer| {
        let Op::Normalize(norm) = &producer.op else { return None };
        if norm.activation != Activation::Identity {
            return None;
        }
        match &consumer.op {
            Op::Reshape(reshape) => {
                let shape = reshape.shape.clone();
                Some(Ok(change(move |norm| norm.shape = shape)))
            }
            Op::Binary(Binary { function, .. }) => affine(graph, norm, *function, [producer, consumer]).map(Ok),
            _ => None,
        }
    });
}

fn change(change: impl FnOnce(&mut Normalize) + 'static) -> Change {
    Box::new(move |_, node| {
        if let Op::Normalize(norm) = &mut node.op {
            change(norm);
        }
    })
}

/// A formula that was recognised.
struct Found {
    op: Normalize,
    x: ValueId,
    last: usize,
    /// The nodes before the last, which nothing else reads.
    parts: BTreeSet<usize>,
}

/// Puts an operator in the place of each formula. No node is part of two: nothing outside of its own reads it.
fn replace(graph: &mut Graph, found: Vec<Found>) {
    let gone: HashSet<usize> = found.iter().flat_map(|found| found.parts.iter().copied()).collect();
    for Found { op, x, last, parts } in found {
        let parts: Vec<&Node> = parts.iter().map(|&part| &graph.nodes[part]).collect();
        let Node { name, outputs, origin, .. } = graph.nodes[last].clone();
        // What was one node of the file bears its name again.
        let name = match &origin {
            Some(own) if parts.iter().all(|part| part.origin == origin) => own.clone(),
            _ => name,
        };
        let fused = parts.iter().flat_map(|part| [vec![part.name.clone()], part.fused.clone()].concat()).collect();
        let node = Node::new(name, op, vec![Some(x)], outputs);
        graph.nodes[last] = Node { fused, origin, ..node };
    }
    let mut index = 0..;
    graph.nodes.retain(|_| index.next().is_none_or(|index| !gone.contains(&index)));
}

/// Who makes and who reads each value.
struct Users {
    made_by: HashMap<ValueId, usize>,
    read_by: HashMap<ValueId, Vec<usize>>,
}

impl Users {
    fn of(graph: &Graph) -> Self {
        let mut users = Users { made_by: HashMap::new(), read_by: HashMap::new() };
        for (index, node) in graph.nodes.iter().enumerate() {
            users.made_by.extend(node.outputs.iter().map(|&id| (id, index)));
            node.inputs.iter().flatten().for_each(|&id| users.read_by.entry(id).or_default().push(index));
        }
        users
    }

    /// Whether these nodes and no others read all that a node makes.
    fn only(&self, graph: &Graph, node: usize, readers: impl Fn(usize) -> bool) -> bool {
        graph.nodes[node].outputs.iter().all(|id| {
            let mut reading = self.read_by.get(id).into_iter().flatten();
            !graph.outputs.contains(id) && reading.all(|&reader| readers(reader))
        })
    }
}

/// The formula whose last step a node is.
fn recognised(graph: &Graph, users: &Users, last: usize) -> Option<Found> {
    let mut formula = Formula { graph, users, parts: BTreeSet::new() };
    let (mut op, mut x) = formula.ending_in(&graph.nodes[last])?;
    op.shape.clone_from(&graph.value(graph.nodes[last].outputs[0]).ty.shape);
    let mut parts = formula.parts;
    let inside = |parts: &BTreeSet<usize>, node: usize| node == last || parts.contains(&node);
    if !parts.iter().all(|&part| users.only(graph, part, |reader| inside(&parts, reader))) {
        return None;
    }
    // The rows may be a view of something that has another shape.
    if let Some(&before) = users.made_by.get(&x)
        && matches!(graph.nodes[before].op, Op::Reshape(_))
        && users.only(graph, before, |reader| inside(&parts, reader))
    {
        parts.insert(before);
        x = graph.nodes[before].input(0)?;
    }
    Some(Found { op, x, last, parts })
}

/// A formula, read backwards.
struct Formula<'g> {
    graph: &'g Graph,
    users: &'g Users,
    /// The nodes that were read.
    parts: BTreeSet<usize>,
}

impl Formula<'_> {
    /// `centred / deviation`, or its product with a reciprocal. The shape is left open.
    fn ending_in(&mut self, last: &Node) -> Option<(Normalize, ValueId)> {
        let [a, b] = [last.input(0)?, last.input(1)?];
        let (centred, divisor, deviation) = match arithmetic(last)? {
            BinaryFunction::Div => (a, b, b),
            BinaryFunction::Mul => match self.function(b, UnaryFunction::Reciprocal) {
                Some(deviation) => (a, b, deviation),
                None => (b, a, self.function(a, UnaryFunction::Reciprocal)?),
            },
            _ => return None,
        };
        let shifted = self.function(deviation, UnaryFunction::Sqrt)?;
        let (variance, epsilon) = self.with_number(shifted)?;
        let (squared, axes) = self.mean(variance)?;
        let distance = self.square(squared)?;
        // What is divided is what was squared, or the same computed once more.
        let (x, of) = self.centred(distance)?;
        if self.centred(centred)? != (x, of.clone()) || of != axes {
            return None;
        }
        let ty = &self.graph.value(x).ty;
        let is_end = ty.shape[axes.end..].iter().all(|&size| size == 1);
        let row: usize = ty.shape[axes.clone()].iter().product();
        let is_whole = self.graph.value(last.outputs[0]).ty == *ty;
        if !is_end || row == 0 || !is_whole || !self.is_one_a_row(divisor, &ty.shape, &axes) {
            return None;
        }
        let affine = ChannelAffine::scale([1.0]);
        Some((Normalize { shape: vec![], row, inner: 1, affine, epsilon, activation: Activation::Identity }, x))
    }

    /// Takes a node in where it is as wanted.
    fn step<R>(&mut self, id: ValueId, wanted: impl FnOnce(&Node) -> Option<R>) -> Option<R> {
        let &index = self.users.made_by.get(&id)?;
        let found = wanted(&self.graph.nodes[index])?;
        self.parts.insert(index);
        Some(found)
    }

    /// The same where numbers may have been given another shape before they are read.
    fn reshaped_step<R>(&mut self, mut id: ValueId, wanted: impl FnOnce(&Node) -> Option<R>) -> Option<R> {
        let mut reshapes = Vec::new();
        while let Some(&index) = self.users.made_by.get(&id)
            && let node = &self.graph.nodes[index]
            && let Op::Reshape(_) = node.op
        {
            reshapes.push(index);
            id = node.input(0)?;
        }
        let found = self.step(id, wanted)?;
        self.parts.extend(reshapes);
        Some(found)
    }

    fn function(&mut self, id: ValueId, function: UnaryFunction) -> Option<ValueId> {
        self.reshaped_step(id, |node| match &node.op {
            Op::Unary(Unary { function: own }) if *own == function => node.input(0),
            _ => None,
        })
    }

    /// What a mean is of, and over which axes.
    fn mean(&mut self, id: ValueId) -> Option<(ValueId, Range<usize>)> {
        self.reshaped_step(id, |node| match &node.op {
            Op::Reduce(reduce) if reduce.kind == ReduceKind::Mean => Some((node.input(0)?, reduce.axes.clone())),
            _ => None,
        })
    }

    /// Something, and the single number that is added to it.
    fn with_number(&mut self, id: ValueId) -> Option<(ValueId, f32)> {
        let graph = self.graph;
        self.reshaped_step(id, |node| {
            let [a, b] = [node.input(0)?, node.input(1)?];
            (arithmetic(node)? == BinaryFunction::Add).then_some(())?;
            number(graph, b).map(|number| (a, number)).or_else(|| Some((b, number(graph, a)?)))
        })
    }

    fn square(&mut self, id: ValueId) -> Option<ValueId> {
        self.step(id, |node| {
            let [a, b] = [node.input(0)?, node.input(1)?];
            (arithmetic(node)? == BinaryFunction::Mul && a == b).then_some(a)
        })
    }

    /// `x` and the axes of its mean, where this is `x - mean`.
    fn centred(&mut self, id: ValueId) -> Option<(ValueId, Range<usize>)> {
        let [x, mean] = self
            .step(id, |node| (arithmetic(node)? == BinaryFunction::Sub).then_some([node.input(0)?, node.input(1)?]))?;
        let (of, axes) = self.mean(mean)?;
        (of == x && self.is_one_a_row(mean, &self.graph.value(x).ty.shape, &axes)).then_some((x, axes))
    }

    /// Whether a value broadcasts to this shape as one number for all that lies along the axes.
    fn is_one_a_row(&self, id: ValueId, shape: &[usize], axes: &Range<usize>) -> bool {
        let kept = shape.iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size });
        let without_leading_ones =
            |shape: &mut dyn Iterator<Item = usize>| shape.skip_while(|&size| size == 1).collect();
        let [kept, own]: [Vec<usize>; 2] = [
            without_leading_ones(&mut kept.into_iter()),
            without_leading_ones(&mut self.graph.value(id).ty.shape.iter().copied()),
        ];
        kept == own
    }
}

/// Numbers that serve `inner` neighbouring elements each; behind the last comes the first again.
struct Cycle {
    numbers: Vec<f64>,
    inner: usize,
}

impl Cycle {
    /// A constant under a shape that it broadcasts to, where its own dimensions follow one another there.
    fn of(constant: &Tensor, shape: &[usize]) -> Option<Self> {
        let Tensor::Real(array) = constant else { return None };
        let skipped = shape.len().checked_sub(array.ndim())?;
        let numbers = row_major_slice(array).iter().copied().map(f64::from).collect();
        let own = |axis: &usize| array.shape()[*axis] != 1;
        let (Some(first), Some(last)) = ((0..array.ndim()).find(own), (0..array.ndim()).rev().find(own)) else {
            return Some(Cycle { numbers, inner: 1 });
        };
        let follow = array.shape()[first..=last] == shape[skipped + first..=skipped + last];
        follow.then(|| Cycle { numbers, inner: shape[skipped + last + 1..].iter().product() })
    }

    /// The same with a number for each `inner` elements, `count` in all; none where those do not fit it.
    fn refined(&self, inner: usize, count: usize) -> Option<Vec<f64>> {
        let own = self.numbers.len();
        let fits = own == 1 || (self.inner.is_multiple_of(inner) && self.inner * own == inner * count);
        fits.then(|| (0..count).map(|at| self.numbers[at * inner / self.inner % own]).collect())
    }
}

/// The product with a constant, or the sum with one, as part of the scale and the bias.
fn affine(
    graph: &Graph,
    norm: &Normalize,
    function: BinaryFunction,
    [producer, consumer]: [&Node; 2],
) -> Option<Change> {
    let result = producer.outputs[0];
    let other = (0..2).find(|&slot| consumer.input(slot) != Some(result))?;
    if graph.value(consumer.outputs[0]).ty != graph.value(result).ty {
        return None;
    }
    let constant = Cycle::of(graph.constant_input(consumer, other)?, &norm.shape)?;
    let own = |numbers: &[f64]| Cycle { numbers: numbers.to_vec(), inner: norm.inner };
    let [scale, bias] = [own(&norm.affine.factor), own(&norm.affine.offset)];
    // The finer of the two ways to share numbers serves both.
    let ways = [(constant.inner, constant.numbers.len()), (norm.inner, scale.numbers.len())];
    let (inner, [constant, factor, offset]) = ways.into_iter().find_map(|(inner, count)| {
        let refined = |cycle: &Cycle| cycle.refined(inner, count);
        Some((inner, [refined(&constant)?, refined(&scale)?, refined(&bias)?]))
    })?;
    let next = match function {
        BinaryFunction::Mul => ChannelAffine::scale(constant),
        BinaryFunction::Add => ChannelAffine::shift(constant),
        _ => return None,
    };
    let affine = ChannelAffine { factor: factor.into(), offset: offset.into() }.then(&next);
    Some(change(move |norm| {
        norm.inner = inner;
        norm.affine = affine;
    }))
}
