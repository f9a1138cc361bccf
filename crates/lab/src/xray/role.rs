//! What a node does to straight lines: keeps them, bends them at points that can be solved for, or curves them.

use super::pooling::taps;
use reluctor::analysis::nonlinearity::Nonlinearity;
use reluctor::graph::{Graph, Node};
use reluctor::ops::epilogue::slot;
use reluctor::ops::{Activation, Binary, BinaryFunction, Epilogue, Op, Pool, PoolKind, ReduceKind, UnaryFunction};

/// What a node is to an exact analysis.
pub enum Role {
    /// An affine map of all that it reads and that is no constant.
    Affine,
    /// A piecewise linear function of each element.
    Bend(Nonlinearity),
    /// The largest of some elements.
    Largest(Groups),
    /// Anything else.
    Curved,
}

/// For each element of a result, the elements of the input that it is the largest of.
pub struct Groups {
    /// For each element of the result, where its group ends in `members`.
    ends: Vec<usize>,
    members: Vec<usize>,
}

impl Groups {
    fn of_pool(pool: &Pool, input: &[usize], output: &[usize]) -> Option<Self> {
        let (&[n, c, h, w], &[_, _, out_h, out_w]) = (input, output) else { return None };
        let mut groups = Groups { ends: Vec::new(), members: Vec::new() };
        for plane in 0..n * c {
            for place in (0..out_h).flat_map(|oy| (0..out_w).map(move |ox| [oy, ox])) {
                groups.members.extend(taps(&pool.window, [h, w], place).map(|(_, at)| plane * h * w + at));
                groups.ends.push(groups.members.len());
            }
        }
        Some(groups)
    }

    /// How many elements the result has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the result has no elements.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The group of one element.
    pub fn of(&self, element: usize) -> &[usize] {
        let start = if element == 0 { 0 } else { self.ends[element - 1] };
        &self.members[start..self.ends[element]]
    }
}

/// The role of a node.
pub fn role(graph: &Graph, node: &Node) -> Role {
    if let Some(bend) = Nonlinearity::of(graph, node) {
        let linear = (0..bend.channels()).all(|channel| bend.pieces(channel).is_piecewise_linear());
        return if linear { Role::Bend(bend) } else { Role::Curved };
    }
    if let Op::Pool(pool @ Pool { kind: PoolKind::Max, .. }) = &node.op {
        let shape = |id: Option<reluctor::graph::ValueId>| id.map(|id| &graph.value(id).ty.shape[..]);
        let groups = shape(node.input(0)).zip(shape(node.outputs.first().copied()));
        return groups
            .and_then(|(input, output)| Groups::of_pool(pool, input, output))
            .map_or(Role::Curved, Role::Largest);
    }
    if is_affine(graph, node) { Role::Affine } else { Role::Curved }
}

/// Whether a node is affine in what it reads, whatever it reads.
fn is_affine(graph: &Graph, node: &Node) -> bool {
    let constant = |slot| graph.constant_input(node, slot).is_some();
    let plain = |epilogue: &Epilogue| {
        let pool = epilogue.pool.as_ref().is_none_or(|pool| pool.kind != PoolKind::Max);
        epilogue.activation == Activation::Identity && pool && constant(slot::WEIGHT)
    };
    match &node.op {
        Op::Conv(conv) => plain(&conv.epilogue),
        Op::ConvTranspose(conv) => plain(&conv.epilogue),
        Op::MatMul(product) => product.activation == Activation::Identity && (constant(0) || constant(1)),
        Op::BatchNormalization(norm) => norm.activation == Activation::Identity && (1..5).all(constant),
        Op::Binary(Binary { function, activation: Activation::Identity }) => match function {
            BinaryFunction::Add | BinaryFunction::Sub => true,
            BinaryFunction::Mul => constant(0) || constant(1),
            BinaryFunction::Div => constant(1),
            _ => false,
        },
        Op::Activate(activate) => activate.activation == Activation::Identity,
        Op::Unary(unary) => unary.function == UnaryFunction::Neg,
        Op::Reduce(reduce) => matches!(reduce.kind, ReduceKind::Mean | ReduceKind::Sum),
        Op::Pool(pool) => pool.kind != PoolKind::Max,
        Op::Gather(_) => constant(1),
        Op::Concat(_) | Op::Expand(_) | Op::Pad(_) | Op::Resample(_) | Op::Reshape(_) => true,
        Op::Slice(_) | Op::Transpose(_) => true,
        _ => false,
    }
}
