//! Graph -> graph. A pass never changes what a graph computes, only how many tensors that takes.

pub mod collapse;
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

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Activation, Binary, BinaryFunction, Op, epilogue::Epilogue};
use crate::tensor::Tensor;
use readers::Readers;

/// One rewriting of a graph.
pub struct Pass {
    /// Its name, as `--fuse` takes it.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    run: fn(&mut Graph),
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
        run: |graph| {
            recognise_squares::run(graph);
            recognise_normalizations::run(graph);
            recognise_activations::run(graph);
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
pub fn optimize(mut graph: Graph, fusion: &Fusion) -> Result<Graph> {
    fold_constants::run(&mut graph);
    remove_identities::run(&mut graph);
    // What a later pass fuses may bring an operator next to a convolution that an earlier pass knows: the second round
    // fuses it, or says why not.
    for pass in [&PASSES, &PASSES].into_iter().flatten().filter(|pass| fusion.0.contains(&pass.name)) {
        (pass.run)(&mut graph);
        graph.validate()?;
    }
    Ok(graph)
}

/// How a producer changes when it takes its consumer in. The graph is there to add constants to.
type Change = Box<dyn FnOnce(&mut Graph, &mut Node)>;

/// Offers each pair of a node and its only reader to `fuse`, in order, and merges those for which it returns a change. A
/// reason not to fuse is noted at the producer; `None` says that the pair does not concern the pass.
fn fuse_pairs(graph: &mut Graph, fuse: impl Fn(&Graph, &Node, &Node) -> Option<Result<Change, String>>) {
    let mut index = 0;
    let mut readers = Readers::of(graph);
    while index < graph.nodes.len() {
        match pair(graph, &readers, index, &fuse) {
            Some((consumer, Ok(change))) => {
                [index, consumer].into_iter().for_each(|gone| readers.remove(&graph.nodes[gone]));
                absorb(graph, index, consumer, change);
                readers.add(&graph.nodes[consumer - 1]);
            }
            Some((consumer, Err(reason))) => {
                let note = format!("{}: {reason}", graph.nodes[consumer].name);
                let notes = &mut graph.nodes[index].not_fused_because;
                if !notes.contains(&note) {
                    notes.push(note);
                }
                index += 1;
            }
            None => index += 1,
        }
    }
}

fn pair(
    graph: &Graph,
    readers: &Readers,
    index: usize,
    fuse: &impl Fn(&Graph, &Node, &Node) -> Option<Result<Change, String>>,
) -> Option<(usize, Result<Change, String>)> {
    let node = &graph.nodes[index];
    let &[output] = &node.outputs[..] else { return None };
    match readers.sole(graph, index, output) {
        Ok(consumer) => fuse(graph, node, &graph.nodes[consumer]).map(|change| (consumer, change)),
        // Had it been the only reader, would this pass have fused one of them?
        Err(reason) => readers
            .of_result(graph, index, output)
            .find(|&consumer| matches!(fuse(graph, node, &graph.nodes[consumer]), Some(Ok(_))))
            .map(|consumer| (consumer, Err(reason.to_string()))),
    }
}

/// The producer takes the consumer's place and name of result. Nothing between the two reads the producer's own result.
fn absorb(graph: &mut Graph, producer: usize, consumer: usize, change: Change) {
    let mut node = graph.nodes.remove(producer);
    change(graph, &mut node);
    let place = &mut graph.nodes[consumer - 1];
    node.outputs.clone_from(&place.outputs);
    node.fused.push(place.name.clone());
    node.fused.append(&mut place.fused);
    node.not_fused_because.append(&mut place.not_fused_because);
    *place = node;
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
