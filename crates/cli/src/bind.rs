//! A network bound to what it is fed.

use super::batches::{Batches, Request};
use super::feed::Fed;
use reluctor::budget::Budget;
use reluctor::error::{Error, Result, escape};
use reluctor::graph::Graph;
use reluctor::items::{Lie, Mixes, Path};
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::Fusion;
use reluctor::plan::Plan;
use reluctor::session::Network;
use reluctor_lab::cases::with_most_open;
use std::collections::HashSet;

/// A network with concrete shapes, and the tensors that are given to each run of it.
pub struct Bound {
    /// The network.
    pub network: Network,
    /// What it was bound by.
    pub bindings: Bindings,
    /// Every input; those that are not open are constants of the graphs.
    pub feed: Vec<Fed>,
    /// How the open inputs are cut.
    pub batches: Batches,
    /// Outputs that are the same for each batch, where there are several.
    pub same: HashSet<String>,
}

/// Which inputs become constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Those that hold no reals.
    NotReal,
    /// As many more as it takes: stored test data may hold weights, pads and scales as inputs.
    AsNeeded,
}

/// Binds, optimises and plans. `plan` refuses what the device cannot run. Items run in parts only where the graph proves that
/// they go through the network apart from each other; else they run as one batch.
///
/// # Errors
/// Those of [`Network::bind`]; [`Error::Usage`] where they would have to run in parts and must not, with the node that mixes them.
pub fn bind(
    model: &Model,
    bindings: &Bindings,
    mut feed: Vec<Fed>,
    request: Request,
    policy: Policy,
    fusion: &Fusion,
    plan: &mut dyn FnMut(&Graph) -> Result<Option<Plan>>,
) -> Result<Bound> {
    let mut attempt = |feed: &[Fed]| {
        let (mut own, mut same) = (bindings.clone(), HashSet::new());
        let mut batches = Batches::bind(feed, model, &mut own, request)?;
        let mut network = Network::bind(model, &own, fusion, plan)?;
        if batches.is_cut() {
            let whole = Whole::of(model, bindings, feed, batches.items)?;
            let is_open = |name: &str| feed.iter().any(|fed| fed.open && fed.name == name);
            let other = whole.as_ref().map(|whole| (&whole.graph, batches.items));
            match (items_apart((&network.unfused, batches.size), other, is_open), whole) {
                (Ok(outputs), _) => same = outputs,
                (Err(_), Some(whole)) if request.batch.is_none() => {
                    batches.size = batches.items;
                    own = whole.bindings;
                    network = Network::bind(model, &own, fusion, plan)?;
                }
                (Err(reason), whole) => return Err(together(batches, &reason, whole.is_some())),
            }
        }
        Ok(Bound { network, bindings: own, feed: vec![], batches, same })
    };
    let bound = match policy {
        Policy::NotReal => attempt(&feed)?,
        Policy::AsNeeded => {
            let may_be_open: Vec<bool> = feed.iter().map(|fed| fed.open).collect();
            with_most_open(&may_be_open, |open| {
                feed.iter_mut().zip(open).for_each(|(fed, &open)| fed.open = open);
                attempt(&feed)
            })?
        }
    };
    Ok(Bound { feed, ..bound })
}

/// All items as one batch.
struct Whole {
    bindings: Bindings,
    graph: Graph,
}

impl Whole {
    /// None where the model takes a certain number at once, and no other.
    fn of(model: &Model, bindings: &Bindings, feed: &[Fed], items: usize) -> Result<Option<Self>> {
        let mut bindings = Bindings { batch: Some(items), ..bindings.clone() };
        match Batches::bind(feed, model, &mut bindings, Request { batch: Some(items), usual: None }) {
            Ok(batches) if !batches.is_cut() => {
                // Nothing of it is computed: it may be larger than what may run.
                let budget = Budget { memory: u64::MAX, flops: None, ..bindings.budget.clone() };
                let graph = model.graph(&Bindings { budget, ..bindings.clone() })?;
                Ok(Some(Whole { bindings, graph }))
            }
            _ => Ok(None),
        }
    }
}

/// That items must run together, for a reason; how, depends on whether the model takes as many as there are.
fn together(Batches { items, size }: Batches, reason: &str, fits: bool) -> Error {
    let instead = match fits {
        true => format!("give all of them at once, by --batch {items}"),
        false => format!("give it {size}, as many as it takes at once"),
    };
    Error::Usage(format!("{reason}, so {items} items cannot run {size} at a time: {instead}"))
}

/// A network, and how many items it takes at once.
type OfItems<'a> = (&'a Graph, usize);

/// The outputs that do not depend on the items, where the items of a batch go through the network apart from each other, and as
/// they do in another batch of the same model.
///
/// # Errors
/// What brings them together, in words.
pub fn items_apart(
    (graph, items): OfItems<'_>,
    other: Option<OfItems<'_>>,
    is_open: impl Fn(&str) -> bool,
) -> Result<HashSet<String>, String> {
    let in_words = |Mixes(node): Mixes| format!("node '{}' mixes the items of a batch", escape(&node));
    let path = Path::of(graph, items, &is_open).map_err(in_words)?;
    let there = other.map(|(graph, items)| Path::of(graph, items, &is_open)).transpose().map_err(in_words)?;
    if let Some(node) = there.as_ref().and_then(|there| path.differs(there)) {
        return Err(in_words(node));
    }
    let mut same = HashSet::new();
    for (at, &output) in graph.outputs.iter().enumerate() {
        let name = &graph.value(output).name;
        let lie = path.lie(output).or_else(|| there.as_ref()?.lie(other?.0.outputs[at]));
        match lie {
            _ if !path.depends(output) => _ = same.insert(name.clone()),
            Some(lie) if lie != (Lie { axis: 0, each: 1 }) => {
                return Err(format!("the first dimension of output '{}' does not count the items", escape(name)));
            }
            _ => {}
        }
    }
    Ok(same)
}
