//! A model ready to run on inputs of any shape that it takes: the library in one line.
//!
//! ```no_run
//! use reluctor::{Model, Options, tensor::Tensor};
//!
//! # fn main() -> reluctor::error::Result<()> {
//! let image = Tensor::real(&[1, 3, 224, 224], vec![0.5; 3 * 224 * 224])?;
//! let outputs = Model::open("model.onnx")?.session(&Options::default())?.run(&[("image", &image)])?;
//! # Ok(())
//! # }
//! ```

mod deferred;
mod network;

pub use network::Network;

use crate::device::{Device, Precision};
use crate::engine::Engine;
use crate::error::{Error, Result, escape};
use crate::gpu::{self, Choice};
use crate::onnx::{Bindings, Declared, DeclaredDim, Model};
use crate::passes::Fusion;
use crate::tensor::{Kind, Shape, Tensor};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a model is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where: a GPU if there is one (`auto`), the CPU executor, an adapter.
    pub device: Choice,
    /// The numbers that are computed with.
    pub precision: Precision,
    /// Which fusions are made.
    pub fusion: Fusion,
    /// Sizes that the model leaves open, inputs that never change, what it may ask for, and what `align_corners` means.
    /// Sizes that this leaves open too are taken from the inputs of each run.
    pub bindings: Bindings,
    /// How an adapter is used: checks, time-outs, caches, one kernel for all convolutions.
    pub gpu: gpu::Options,
    /// How many plans are kept, one for each set of input shapes, each with its own copy of the weights. At least 1.
    pub plans: usize,
}

impl Default for Options {
    /// The best device there is, f32, every fusion, and the last four shapes.
    fn default() -> Self {
        Options {
            device: Choice::Auto,
            precision: Precision::F32,
            fusion: Fusion::all(),
            bindings: Bindings::default(),
            gpu: gpu::Options::default(),
            plans: 4,
        }
    }
}

impl Options {
    /// The usual ones on a device.
    pub fn on(device: Choice) -> Self {
        Options { device, ..Options::default() }
    }
}

/// A model on a device. It is planned when it first meets inputs of a shape; pipelines are compiled once for all shapes
/// that need them. Clones share everything, and threads may share them: runs of one device follow one another.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    model: Model,
    inputs: Vec<Declared>,
    outputs: Vec<(String, Option<Declared>)>,
    /// Another one once the first was lost. Locked after `plans`, where both are.
    device: Mutex<Device>,
    /// How often it was opened again.
    reopened: AtomicUsize,
    options: Options,
    /// The latest used last.
    plans: Mutex<Vec<(Key, Arc<Engine<'static>>)>>,
    /// Held by who makes a plan, where that may be waited for.
    making: Mutex<()>,
}

/// What a plan was made for: each input's name, and its shape or, where the plan depends on it, its content.
type Key = Vec<(String, Part)>;

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Shape(Shape),
    Content(Tensor),
}

impl Model {
    /// Opens the device. Where no dimension is left open the network is planned and compiled too, so that the first run
    /// takes as long as the others.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is missing or fails, [`Error::Usage`] where it cannot compute in this precision;
    /// those of [`Network::bind`] and of [`Gpu::load`](gpu::Gpu::load) where the network is planned.
    pub fn session(&self, options: &Options) -> Result<Session> {
        pollster::block_on(self.session_async(options))
    }

    /// The same, for callers that must not block while adapters answer. What is left, planning and compiling, is work of
    /// the processor's.
    ///
    /// # Errors
    /// As [`Model::session`].
    pub async fn session_async(&self, options: &Options) -> Result<Session> {
        let inputs = self.inputs()?;
        options.precision.supported()?;
        let device = Device::open_async(&options.device, &options.gpu).await?;
        let session = Session::of(self, inputs, device, options)?;
        session.prepare_fixed()?;
        Ok(session)
    }

    /// The same on a device that is open already: sessions of one device share its compiled pipelines. `options.device`
    /// and `options.gpu` count for nothing.
    ///
    /// # Errors
    /// As [`Model::session`].
    pub fn session_on(&self, device: &Device, options: &Options) -> Result<Session> {
        options.precision.supported()?;
        let session = Session::of(self, self.inputs()?, device.clone(), options)?;
        session.prepare_fixed()?;
        Ok(session)
    }
}

impl Session {
    fn of(model: &Model, inputs: Vec<Declared>, device: Device, options: &Options) -> Result<Self> {
        let inputs = inputs.into_iter().filter(|input| !options.bindings.constants.contains_key(&input.name)).collect();
        let outputs = model.outputs()?;
        let (model, options, plans) = (model.clone(), options.clone(), Mutex::default());
        let (device, reopened) = (Mutex::new(device), AtomicUsize::new(0));
        let making = Mutex::default();
        Ok(Session(Arc::new(Shared { model, inputs, outputs, device, reopened, options, plans, making })))
    }

    /// A session that starts with a network already bound: `network` is what [`Network::bind`] makes of the model with
    /// these options' bindings.
    ///
    /// # Errors
    /// Those of [`Gpu::load`](gpu::Gpu::load).
    pub fn holding(model: &Model, device: &Device, options: &Options, network: &Network) -> Result<Self> {
        let session = Session::of(model, model.inputs()?, device.clone(), options)?;
        let shape = |declared: &Declared| {
            let id = network.graph.inputs.iter().find(|&&id| network.graph.value(id).name == declared.name);
            id.map(|&id| (declared.name.clone(), Part::Shape(network.graph.value(id).ty.shape.clone())))
        };
        let key: Key = session.inputs().iter().filter_map(shape).collect();
        let engine = Arc::new(network.load(device)?);
        session.plans().push((key, engine));
        Ok(session)
    }

    /// What each run has to be given.
    pub fn inputs(&self) -> &[Declared] {
        &self.0.inputs
    }

    /// What each run gives, by name in the model's order, as the model declares it; that is missing where the model leaves it
    /// out. A run gives reals as f32 and integers as i64 whatever the declared element type.
    pub fn outputs(&self) -> &[(String, Option<Declared>)] {
        &self.0.outputs
    }

    /// The model that it runs.
    pub fn model(&self) -> &Model {
        &self.0.model
    }

    /// What it runs on now.
    pub fn device(&self) -> Device {
        self.0.device.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often the device was lost and opened again.
    pub fn reopened(&self) -> usize {
        self.0.reopened.load(Ordering::Relaxed)
    }

    /// How many plans it holds now.
    pub fn held(&self) -> usize {
        self.plans().len()
    }

    /// Computes the outputs, by name in the model's order, from inputs by name in any order. Images are `[n, c, h, w]`
    /// where the model says nothing else, in the numbers that it was trained on.
    ///
    /// # Errors
    /// [`Error::Usage`] or [`Error::Invalid`] name an input that is missing, unknown, given twice, or of a kind or shape
    /// that the model does not take. Where the shapes are new: those of [`Network::bind`]. [`Error::Device`] where the
    /// device fails or takes longer than [`gpu::Options::timeout`]. Where the device was lost it is opened again, once a run,
    /// and the run repeated.
    pub fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let device = self.device();
        match self.run_once(inputs) {
            Err(Error::Device(_)) if device.gpu().is_some_and(gpu::Gpu::is_lost) => {
                self.reopen()?;
                self.run_once(inputs)
            }
            outcome => outcome,
        }
    }

    /// Gives up what is on a lost device, unless another thread did so already.
    fn reopen(&self) -> Result<()> {
        let mut plans = self.plans();
        let mut device = self.0.device.lock().unwrap_or_else(PoisonError::into_inner);
        if let Device::Gpu(gpu) = &*device
            && gpu.is_lost()
        {
            let again = gpu.reopen()?;
            plans.clear();
            *device = Device::Gpu(again);
            self.0.reopened.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn run_once(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let engine = self.engine(inputs)?;
        let open = |name: &str| engine.graph().inputs.iter().any(|&id| engine.graph().value(id).name == name);
        let open: Vec<(&str, &Tensor)> = inputs.iter().filter(|(name, _)| open(name)).copied().collect();
        engine.run_given(&open)
    }

    /// The network planned and loaded for inputs of these shapes: the one of an earlier run, or a new one. Inputs that
    /// hold no reals are constants of it. While a plan is made other threads wait.
    ///
    /// # Errors
    /// As [`Session::run`], but for those of running.
    pub fn engine(&self, inputs: &[(&str, &Tensor)]) -> Result<Arc<Engine<'static>>> {
        let key = self.key(inputs)?;
        if let Some(engine) = self.made(&key) {
            return Ok(engine);
        }
        // Making a plan waits for rayon's threads, and a thread of theirs that waits takes on other tasks meanwhile, of which
        // one may run this session: it must not meet a lock that it holds. So those threads may make a plan twice; others wait.
        let in_pool = rayon::current_thread_index().is_some();
        let _turn = (!in_pool).then(|| self.0.making.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(engine) = self.made(&key) {
            return Ok(engine);
        }
        let engine = Arc::new(self.load(&key)?);
        // Another thread of the pool may have been faster; one plan is enough to hold.
        if let Some(engine) = self.made(&key) {
            return Ok(engine);
        }
        let mut plans = self.plans();
        // Before the new one takes memory of its own, the oldest would have to go; but a device frees late anyway.
        let most = self.0.options.plans.max(1);
        let surplus = (plans.len() + 1).saturating_sub(most);
        plans.drain(..surplus);
        plans.push((key, Arc::clone(&engine)));
        Ok(engine)
    }

    /// The plan that was made for this key, now the latest used.
    fn made(&self, key: &Key) -> Option<Arc<Engine<'static>>> {
        let mut plans = self.plans();
        let at = plans.iter().position(|(known, _)| known == key)?;
        let plan = plans.remove(at);
        let engine = Arc::clone(&plan.1);
        plans.push(plan);
        Some(engine)
    }

    fn load(&self, key: &Key) -> Result<Engine<'static>> {
        let Shared { model, options, .. } = &*self.0;
        let device = &self.device();
        let mut bindings = options.bindings.clone();
        for (name, part) in key {
            match part {
                Part::Shape(shape) => _ = bindings.shapes.insert(name.clone(), shape.clone()),
                Part::Content(tensor) => _ = bindings.constants.insert(name.clone(), tensor.clone()),
            }
        }
        Network::bind(model, &bindings, &options.fusion, &mut |graph| device.plan(graph))?.load(device)
    }

    fn key(&self, given: &[(&str, &Tensor)]) -> Result<Key> {
        let names = || self.inputs().iter().map(|input| escape(&input.name)).collect::<Vec<_>>().join(", ");
        if let Some((name, _)) = given.iter().find(|(name, _)| !self.inputs().iter().any(|input| input.name == *name)) {
            return Err(Error::Usage(format!(
                "the model has no input '{}'; its inputs are: {}",
                escape(name),
                names()
            )));
        }
        let part = |input: &Declared| {
            let mut given = given.iter().filter(|(name, _)| *name == input.name);
            let tensor = match (given.next(), given.next()) {
                (Some((_, tensor)), None) => *tensor,
                (Some(_), Some(_)) => {
                    return Err(Error::Usage(format!("input '{}' is given twice", escape(&input.name))));
                }
                _ => return Err(Error::Usage(format!("input '{}' is missing", escape(&input.name)))),
            };
            input.takes(tensor, "it")?;
            let part = match tensor.kind() {
                Kind::Real => Part::Shape(tensor.shape().to_vec()),
                Kind::Int | Kind::Bool => Part::Content(tensor.clone()),
            };
            Ok((input.name.clone(), part))
        };
        self.inputs().iter().map(part).collect()
    }

    /// Plans now what needs no input to be planned.
    fn prepare_fixed(&self) -> Result<()> {
        let bindings = &self.0.options.bindings;
        let fixed = |input: &Declared| {
            let known = bindings.shapes.contains_key(&input.name)
                || input.dims.iter().flatten().all(|dim| matches!(dim, DeclaredDim::Size(_))) && input.dims.is_some();
            known && input.kind() == Kind::Real
        };
        if self.inputs().iter().all(fixed) {
            let part = |input: &Declared| Ok((input.name.clone(), Part::Shape(input.shape(bindings)?)));
            let key: Key = self.inputs().iter().map(part).collect::<Result<_>>()?;
            let engine = Arc::new(self.load(&key)?);
            self.plans().push((key, engine));
        }
        Ok(())
    }

    fn plans(&self) -> std::sync::MutexGuard<'_, Vec<(Key, Arc<Engine<'static>>)>> {
        self.0.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads may share a session and hand it on.
const _: fn() = || {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Session>();
    shared::<Model>();
};
