//! What runs the networks that are measured: a device or the CPU executor, behind one pair of traits, so that each measure is
//! written once.

use reluctor::cpu;
use reluctor::engine::Engine;
use reluctor::error::Result;
use reluctor::graph::{Graph, ValueId};
use reluctor::tensor::{Named, Tensor, borrowed};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Makes networks ready to run.
pub trait Runner {
    /// Loads a graph, once for many runs.
    ///
    /// # Errors
    /// Where the device cannot run it.
    fn load<'g>(&self, graph: &'g Graph) -> Result<Box<dyn Loaded + 'g>>;
}

/// A network that is ready.
pub trait Loaded {
    /// The outputs, in the graph's order.
    ///
    /// # Errors
    /// Where an input does not fit, or the device fails.
    fn run(&self, inputs: &Named) -> Result<Named>;

    /// Runs node by node; each is shown its index in the graph and its outputs.
    ///
    /// # Errors
    /// As [`Loaded::run`], and what `show` returns.
    fn stepwise(&self, inputs: &Named, show: &mut dyn FnMut(usize, Vec<Tensor>) -> Result<()>) -> Result<()>;
}

/// The CPU executor in f32.
pub struct OnCpu;

impl Runner for OnCpu {
    fn load<'g>(&self, graph: &'g Graph) -> Result<Box<dyn Loaded + 'g>> {
        Ok(Box::new(cpu::Session::<f32>::new(graph)))
    }
}

impl Loaded for cpu::Session<'_, f32> {
    fn run(&self, inputs: &Named) -> Result<Named> {
        cpu::Session::run(self, &borrowed(inputs))
    }

    fn stepwise(&self, inputs: &Named, show: &mut dyn FnMut(usize, Vec<Tensor>) -> Result<()>) -> Result<()> {
        let mut index = 0..;
        let mut observe = |_: &_, outputs: &[Tensor]| show(index.next().unwrap_or(0), outputs.to_vec());
        self.run_observed(&borrowed(inputs), &mut observe).map(drop)
    }
}

impl Loaded for Engine<'_> {
    fn run(&self, inputs: &Named) -> Result<Named> {
        Engine::run(self, inputs)
    }

    fn stepwise(&self, inputs: &Named, show: &mut dyn FnMut(usize, Vec<Tensor>) -> Result<()>) -> Result<()> {
        self.run_stepwise(&borrowed(inputs), &mut |ran| show(ran.node, ran.outputs))
    }
}

/// What one run of a graph gave each value that is no constant, by the value's number.
pub type Trace = Vec<Option<Tensor>>;

/// A loaded graph whose passes and their time are counted.
pub struct Counted<'g> {
    graph: &'g Graph,
    loaded: Box<dyn Loaded + 'g>,
    passes: &'g Passes,
}

/// Forward passes so far, over all graphs: images, and the time that running them took.
#[derive(Debug, Default)]
pub struct Passes {
    images: Cell<usize>,
    time: Cell<Duration>,
}

impl Passes {
    /// Forward passes of one image.
    pub fn images(&self) -> usize {
        self.images.get()
    }

    /// What they took, transfers included.
    pub fn time(&self) -> Duration {
        self.time.get()
    }

    fn add(&self, images: usize, since: Instant) {
        self.images.set(self.images.get() + images);
        self.time.set(self.time.get() + since.elapsed());
    }
}

impl<'g> Counted<'g> {
    /// Loads a graph.
    ///
    /// # Errors
    /// Those of [`Runner::load`].
    pub fn load(runner: &dyn Runner, graph: &'g Graph, passes: &'g Passes) -> Result<Self> {
        Ok(Counted { graph, loaded: runner.load(graph)?, passes })
    }

    /// The outputs.
    ///
    /// # Errors
    /// Those of [`Loaded::run`].
    pub fn run(&self, inputs: &Named) -> Result<Named> {
        let start = Instant::now();
        let outputs = self.loaded.run(inputs)?;
        self.passes.add(images(inputs), start);
        Ok(outputs)
    }

    /// Every value.
    ///
    /// # Errors
    /// Those of [`Loaded::stepwise`].
    pub fn trace(&self, inputs: &Named) -> Result<Trace> {
        let start = Instant::now();
        let mut trace: Trace = vec![None; self.graph.values.len()];
        for &id in &self.graph.inputs {
            let given = inputs.iter().find(|(name, _)| *name == self.graph.value(id).name);
            trace[id.0] = given.map(|(_, tensor)| tensor.clone());
        }
        self.loaded.stepwise(inputs, &mut |node, outputs| {
            for (&ValueId(id), tensor) in self.graph.nodes[node].outputs.iter().zip(outputs) {
                trace[id] = Some(tensor);
            }
            Ok(())
        })?;
        self.passes.add(images(inputs), start);
        Ok(trace)
    }
}

/// How many items a run is given.
fn images(inputs: &Named) -> usize {
    inputs.first().and_then(|(_, tensor)| tensor.shape().first().copied()).unwrap_or(1)
}
