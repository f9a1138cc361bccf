//! A network bound to what it is fed.

use super::batches::{Batches, Request};
use super::feed::Fed;
use crate::cases::with_most_open;
use crate::error::Result;
use crate::graph::Graph;
use crate::onnx::{Bindings, Model};
use crate::passes::Fusion;
use crate::plan::Plan;
use crate::session::Network;

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
}

/// Which inputs become constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Those that hold no reals.
    NotReal,
    /// As many more as it takes: stored test data may hold weights, pads and scales as inputs.
    AsNeeded,
}

/// Binds, optimises and plans. `plan` refuses what the device cannot run.
///
/// # Errors
/// Those of [`Network::bind`].
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
        let mut bindings = bindings.clone();
        let batches = Batches::bind(feed, model, &mut bindings, request)?;
        let network = Network::bind(model, &bindings, fusion, plan)?;
        Ok((network, bindings, batches))
    };
    let (network, bindings, batches) = match policy {
        Policy::NotReal => attempt(&feed)?,
        Policy::AsNeeded => {
            let may_be_open: Vec<bool> = feed.iter().map(|fed| fed.open).collect();
            with_most_open(&may_be_open, |open| {
                feed.iter_mut().zip(open).for_each(|(fed, &open)| fed.open = open);
                attempt(&feed)
            })?
        }
    };
    Ok(Bound { network, bindings, feed, batches })
}
