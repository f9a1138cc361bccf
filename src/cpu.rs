//! Walks a graph on the CPU. In f32 this runs networks where there is no GPU; in f64 it is the reference that checks one.

use crate::error::{Error, Result, escape};
use crate::graph::{Graph, Held, Node, ValueId};
use crate::tensor::{Real, Tensor};
use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

/// Is shown each node with its outputs; its error stops the run.
pub type Observe<'a, T> = dyn FnMut(&Node, &[Tensor<T>]) -> Result<()> + 'a;

/// A graph made ready to run in one precision. Constants are converted when a node reads them, and forgotten again: all of
/// them together may be far larger than any layer. In f32 they are the graph's own.
pub struct Session<'g, T> {
    graph: Held<'g>,
    precision: PhantomData<T>,
    /// For each node, the values that nothing reads after it.
    dies_after: Vec<Vec<ValueId>>,
}

impl<'g, T: Real> Session<'g, T> {
    /// Finds out how long each value lives.
    pub fn new(graph: impl Into<Held<'g>>) -> Self {
        let graph = graph.into();
        Session { dies_after: dies_after(&graph), graph, precision: PhantomData }
    }

    /// The outputs, in the graph's order.
    ///
    /// # Errors
    /// [`Error::Usage`] where an input is missing, unknown or of another shape than the graph was bound to;
    /// [`Error::Invalid`] where a node cannot compute what it was given.
    pub fn run(&self, inputs: &[(&str, &Tensor<T>)]) -> Result<Vec<(String, Tensor<T>)>> {
        // On a thread of the pool, so that no operator has to wake one and to wait for it.
        rayon::scope(|_| self.run_observed(inputs, &mut |_, _| Ok(())))
    }

    /// The same; each node is shown with its outputs as soon as they are computed.
    ///
    /// # Errors
    /// As [`Session::run`], and what `observe` returns.
    pub fn run_observed(
        &self,
        inputs: &[(&str, &Tensor<T>)],
        observe: &mut Observe<'_, T>,
    ) -> Result<Vec<(String, Tensor<T>)>> {
        let mut values = self.bind(inputs)?;
        for (node, dead) in self.graph.nodes.iter().zip(&self.dies_after) {
            let last = last_use(node, dead).and_then(|id| take_owned(&mut values, id));
            let arguments: Vec<Option<Argument<'_, T>>> =
                node.inputs.iter().map(|input| input.and_then(|id| self.value(&values, id))).collect();
            let borrowed: Vec<Option<&Tensor<T>>> = arguments.iter().map(|argument| argument.as_deref()).collect();
            let results = match last {
                Some(first) => node.op.consume(first, &borrowed),
                None => node.op.reference(&borrowed),
            };
            let results = results.map_err(|problem| problem.at(&node.name))?;
            observe(node, &results)?;
            for (&id, result) in node.outputs.iter().zip(results) {
                values.insert(id, Cow::Owned(result));
            }
            for id in dead {
                values.remove(id);
            }
        }
        let missing = |id: ValueId| Error::Internal(format!("output {} was never computed", self.graph.value(id).name));
        let output = |&id: &ValueId| {
            let tensor = self.value(&values, id).ok_or_else(|| missing(id))?.clone();
            Ok((self.graph.value(id).name.clone(), tensor))
        };
        self.graph.outputs.iter().map(output).collect()
    }

    fn value<'a>(&self, values: &'a HashMap<ValueId, Cow<'_, Tensor<T>>>, id: ValueId) -> Option<Argument<'a, T>> {
        let computed = values.get(&id).map(|tensor| Argument::Computed(tensor));
        computed.or_else(|| self.graph.value(id).constant.as_ref().map(|tensor| Argument::Constant(convert(tensor))))
    }

    fn bind<'a>(&self, inputs: &[(&str, &'a Tensor<T>)]) -> Result<HashMap<ValueId, Cow<'a, Tensor<T>>>> {
        let name_of = |id: &ValueId| self.graph.value(*id).name.as_str();
        if let Some((unknown, _)) =
            inputs.iter().find(|(name, _)| !self.graph.inputs.iter().any(|id| name_of(id) == *name))
        {
            return Err(Error::Usage(format!("the model has no input '{}'", escape(unknown))));
        }
        let mut values = HashMap::new();
        for &id in &self.graph.inputs {
            let value = self.graph.value(id);
            let name = escape(&value.name);
            let Some((_, tensor)) = inputs.iter().find(|(given, _)| *given == value.name) else {
                return Err(Error::Usage(format!("input '{name}' is missing")));
            };
            if tensor.tensor_type() != value.ty {
                let given = tensor.tensor_type();
                return Err(Error::Usage(format!(
                    "input '{name}' is {given} of {:?}, not {} of {:?}",
                    given.kind, value.ty, value.ty.kind
                )));
            }
            values.insert(id, Cow::Borrowed(*tensor));
        }
        Ok(values)
    }
}

/// What a node reads.
enum Argument<'a, T> {
    Computed(&'a Tensor<T>),
    Constant(Arc<Tensor<T>>),
}

impl<T> Deref for Argument<'_, T> {
    type Target = Tensor<T>;

    fn deref(&self) -> &Tensor<T> {
        match self {
            Argument::Computed(tensor) => tensor,
            Argument::Constant(tensor) => tensor,
        }
    }
}

/// The constant in another precision; the same memory where the precision is its own.
fn convert<T: Real>(constant: &Arc<Tensor>) -> Arc<Tensor<T>> {
    let any: Arc<dyn Any + Send + Sync> = constant.clone();
    any.downcast::<Tensor<T>>().unwrap_or_else(|_| Arc::new(constant.cast()))
}

/// A node's first input, where the node is the last to read it, and reads it once.
fn last_use(node: &Node, dead: &[ValueId]) -> Option<ValueId> {
    let first = (*node.inputs.first()?)?;
    let reads = node.inputs.iter().flatten().filter(|&&id| id == first).count();
    (reads == 1 && dead.contains(&first)).then_some(first)
}

/// Takes what was computed; what was given is the caller's.
fn take_owned<T: Clone>(values: &mut HashMap<ValueId, Cow<'_, Tensor<T>>>, id: ValueId) -> Option<Tensor<T>> {
    matches!(values.get(&id), Some(Cow::Owned(_))).then(|| values.remove(&id).map(Cow::into_owned)).flatten()
}

fn dies_after(graph: &Graph) -> Vec<Vec<ValueId>> {
    let mut dies = vec![Vec::new(); graph.nodes.len()];
    for (id, index) in graph.last_uses() {
        if !graph.outputs.contains(&id) {
            dies[index].push(id);
        }
    }
    dies
}
