//! Graph -> graph. A pass never changes what a graph computes, only how many tensors that takes.

mod absorb;
pub mod collapse;
#[doc(hidden)]
pub mod fault;
pub mod fold_constants;
mod fuse_activation;
mod fuse_batch_norm;
mod fuse_bias;
mod fuse_pad;
mod fuse_pool;
mod fuse_residual;
mod fuse_scale;
mod move_transposes;
mod readers;
mod recognise_activations;
mod recognise_normalizations;
mod recognise_squares;
mod remove_identities;
mod rewrites;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Activation, Binary, BinaryFunction, Op, epilogue::Epilogue};
use crate::tensor::Tensor;
use absorb::{Change, fuse_pairs};
pub use rewrites::Rewrite;
use rewrites::Rewrites;

/// One rewriting of a graph.
pub struct Pass {
    /// Its name, as `--fuse` takes it.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    run: fn(&mut Graph, &mut Rewrites),
}

/// The pass that changes rounding: it is never among those that run unasked.
const COLLAPSE: &str = "collapse";

/// Every pass, in the order in which they run: what comes first in an epilogue is fused first.
pub static PASSES: [Pass; 10] = [
    Pass {
        name: "transposes",
        summary: "transpositions past element by element operators, until they meet their opposite and both vanish",
        run: move_transposes::run,
    },
    Pass {
        name: "patterns",
        summary: "SiLU, HardSwish, HardSigmoid, Mish, GELU and normalizations over rows that are several nodes, each into one; squares from powers",
        run: |graph, rewrites| {
            recognise_squares::run(graph, rewrites);
            recognise_normalizations::run(graph, rewrites);
            recognise_activations::run(graph, rewrites);
        },
    },
    Pass {
        name: "pad",
        summary: "zeros around an image into the convolution or average pool after them",
        run: fuse_pad::run,
    },
    Pass {
        name: "batch-norm",
        summary: "BatchNormalization into the convolution before it",
        run: fuse_batch_norm::run,
    },
    Pass {
        name: "scale",
        summary: "multiplication and addition of a constant for each channel into the convolution or BatchNormalization before",
        run: fuse_scale::run,
    },
    Pass {
        name: "bias",
        summary: "addition of a constant into the convolution or product before it",
        run: fuse_bias::run,
    },
    Pass {
        name: COLLAPSE,
        summary: "two convolutions with nothing between them into one, where that is cheaper; it rounds anew, and runs only when named",
        run: collapse::run,
    },
    Pass { name: "residual", summary: "addition of a tensor into the convolution before it", run: fuse_residual::run },
    Pass { name: "activation", summary: "activation into the operator before it", run: fuse_activation::run },
    Pass { name: "pool", summary: "MaxPool and AveragePool into the convolution before them", run: fuse_pool::run },
];

/// Which passes run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fusion(Vec<&'static str>);

impl Fusion {
    /// Every pass that leaves each number as it is.
    pub fn all() -> Self {
        Fusion::without(&[])
    }

    /// The same but for those of these names.
    pub fn without(names: &[&str]) -> Self {
        let wanted = |name: &&str| *name != COLLAPSE && !names.contains(name);
        Fusion(PASSES.iter().map(|pass| pass.name).filter(wanted).collect())
    }

    /// No pass.
    pub fn none() -> Self {
        Fusion(Vec::new())
    }

    /// The passes of these names.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is not one of [`PASSES`].
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let known = |name: &str| PASSES.iter().map(|pass| pass.name).find(|known| *known == name);
        let list = || PASSES.iter().map(|pass| pass.name).collect::<Vec<_>>().join(", ");
        let unknown = |name: &str| Error::Usage(format!("no pass is named '{name}'; there are {}", list()));
        names.into_iter().map(|name| known(name).ok_or_else(|| unknown(name))).collect::<Result<_>>().map(Fusion)
    }
}

/// Folds constants, removes what changes nothing, and runs the chosen passes.
///
/// # Errors
/// [`Error::Internal`] where a pass left an invalid graph: a bug.
pub fn optimize(graph: Graph, fusion: &Fusion) -> Result<Graph> {
    optimize_up_to(graph, fusion, usize::MAX).map(|(graph, _)| graph)
}

/// The same with so many rewrites of the chosen passes at most, and the rewrites that were done, in order.
///
/// # Errors
/// As [`optimize`].
pub fn optimize_up_to(mut graph: Graph, fusion: &Fusion, most: usize) -> Result<(Graph, Vec<Rewrite>)> {
    let mut rewrites = Rewrites::up_to(most);
    fold_constants::run(&mut graph);
    remove_identities::run(&mut graph);
    // What a later pass fuses may bring an operator next to a convolution that an earlier pass knows: the second round
    // fuses it, or says why not.
    for pass in [&PASSES, &PASSES].into_iter().flatten().filter(|pass| fusion.0.contains(&pass.name)) {
        rewrites.begin(pass.name);
        (pass.run)(&mut graph, &mut rewrites);
        graph.validate()?;
    }
    Ok((graph, rewrites.done()))
}

/// The function of a node that is arithmetic and nothing else.
fn arithmetic(node: &Node) -> Option<BinaryFunction> {
    match node.op {
        Op::Binary(Binary { function, activation: Activation::Identity }) => Some(function),
        _ => None,
    }
}

/// A constant of one number.
fn number(graph: &Graph, value: ValueId) -> Option<f32> {
    match graph.value(value).constant.as_deref()? {
        Tensor::Real(array) if array.len() == 1 => array.first().copied(),
        _ => None,
    }
}

/// The epilogue of a convolution, transposed or not.
fn epilogue(op: &Op) -> Option<&Epilogue> {
    match op {
        Op::Conv(conv) => Some(&conv.epilogue),
        Op::ConvTranspose(conv) => Some(&conv.epilogue),
        _ => None,
    }
}

fn epilogue_mut(op: &mut Op) -> Option<&mut Epilogue> {
    match op {
        Op::Conv(conv) => Some(&mut conv.epilogue),
        Op::ConvTranspose(conv) => Some(&mut conv.epilogue),
        _ => None,
    }
}
