//! A loaded plan: buffers, bindings and weights on the device, made once and run many times.

use super::Gpu;
use super::buffers::{Buffers, Upload};
use super::launch::{self, Prepared};
use super::readback::{Readback, total_bytes};
use crate::error::{Error, Result, escape};
use crate::plan::{Layout, Output, Plan, Port, numbers};
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// A plan on a device, ready to run. Runs of one device follow one another, also from several threads.
#[derive(Debug)]
pub struct Session {
    pub(super) gpu: Gpu,
    pub(super) steps: Vec<Prepared>,
    buffers: Buffers,
    inputs: Vec<Port>,
    outputs: Vec<Output>,
    /// The outputs that the device computes, in order.
    pub(super) computed: Vec<Port>,
    pub(super) readback: Readback,
    /// Where an input is brought into its layout: as large as the largest one, and kept from run to run, for fresh memory
    /// costs more than that does. Runs have it in turn, as they have the queue.
    packed: Mutex<Vec<f32>>,
}

/// An input's place on the device and its row-major elements.
pub(super) type Fed<'a> = (&'a Port, Cow<'a, [f32]>);

impl Session {
    pub(super) fn load(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        gpu.compile(plan)?;
        let buffers = Buffers::allocate(gpu, plan)?;
        let steps = launch::prepare(gpu, plan, &buffers)?;
        let computed: Vec<_> = plan.outputs.iter().filter_map(computed).cloned().collect();
        for port in plan.inputs.iter().chain(&computed).chain(plan.steps.iter().flat_map(|step| &step.outputs)) {
            buffers.range(&port.view)?;
        }
        Ok(Session {
            readback: Readback::allocate(gpu, total_bytes(&computed)?)?,
            gpu: gpu.clone(),
            inputs: plan.inputs.clone(),
            outputs: plan.outputs.clone(),
            buffers,
            steps,
            computed,
            packed: Mutex::default(),
        })
    }

    /// The device it runs on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Computes the outputs, in the plan's order, from inputs given by name in any order: one submission, one pass.
    ///
    /// # Errors
    /// [`Error::Invalid`] names an input that is missing, unknown, given twice, or of another kind or shape.
    /// [`Error::Device`] where the device fails, is lost or takes longer than
    /// [`Options::timeout`](super::Options::timeout).
    pub fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let fed = self.fed(inputs)?;
        let queue = self.gpu.queue();
        self.write(&queue, &fed)?;
        let submission = self.submit(&queue, &self.steps, &self.readback, &self.computed)?;
        let computed = self.readback.tensors(&self.gpu, &queue, submission, &self.computed)?;
        Ok(self.named(computed))
    }

    /// Runs step by step and shows each step's outputs to `observe` before the next step starts, so that at most one
    /// layer is in host memory. The index is the step's in the plan.
    ///
    /// `observe` runs while this session holds the device: it must not run anything on it, or it waits for itself.
    ///
    /// # Errors
    /// As [`Session::run`], and the first error of `observe`, which stops the run.
    pub fn run_stepwise(
        &self,
        inputs: &[(&str, &Tensor)],
        observe: &mut dyn FnMut(usize, Vec<Tensor>) -> Result<()>,
    ) -> Result<()> {
        let fed = self.fed(inputs)?;
        let sizes = self.steps.iter().map(|step| total_bytes(&step.outputs)).collect::<Result<Vec<_>>>()?;
        let readback = Readback::allocate(&self.gpu, sizes.into_iter().max().unwrap_or(0))?;
        let queue = self.gpu.queue();
        self.write(&queue, &fed)?;
        for (index, step) in self.steps.iter().enumerate() {
            let submission = self.submit(&queue, std::slice::from_ref(step), &readback, &step.outputs)?;
            observe(index, readback.tensors(&self.gpu, &queue, submission, &step.outputs)?)?;
        }
        Ok(())
    }

    /// Fills every buffer that tensors share in turn with NaN: a later run that reads what it has not written shows.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn poison(&self) -> Result<()> {
        self.buffers.poison(&self.gpu)
    }

    /// Matches the given inputs with the plan's.
    pub(super) fn fed<'a>(&'a self, given: &[(&str, &'a Tensor)]) -> Result<Vec<Fed<'a>>> {
        for (index, (name, _)) in given.iter().enumerate() {
            if !self.inputs.iter().any(|port| port.name == *name) {
                let names = self.inputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(Error::invalid(name, format!("is not an input; the inputs are: {names}")));
            }
            if given[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Error::invalid(name, "is given twice"));
            }
        }
        let feed = |port: &'a Port| {
            let tensor = given.iter().find(|(name, _)| *name == port.name).map(|&(_, tensor)| tensor);
            let tensor = tensor.ok_or_else(|| Error::invalid(&port.name, "is an input, and was not given"))?;
            Ok((port, elements(port, tensor)?))
        };
        self.inputs.iter().map(feed).collect()
    }

    /// Stages the inputs: they reach the device before the next submission runs.
    pub(super) fn write(&self, queue: &wgpu::Queue, fed: &[Fed<'_>]) -> Result<()> {
        let mut upload = Upload::new(&self.gpu, queue);
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        for (port, elements) in fed {
            let (buffer, range) = self.buffers.range(&port.view)?;
            let as_they_lie: &[f32] = match port.layout {
                Layout::Plain => elements,
                layout => {
                    layout.pack_into(&port.ty.shape, elements, &mut packed);
                    &packed
                }
            };
            upload.write(&escape(&port.name), buffer, range.start, bytemuck::cast_slice(as_they_lie))?;
        }
        Ok(())
    }

    /// Submits these steps in one pass, and the copy of what is wanted afterwards.
    pub(super) fn submit(
        &self,
        queue: &wgpu::Queue,
        steps: &[Prepared],
        readback: &Readback,
        wanted: &[Port],
    ) -> Result<wgpu::SubmissionIndex> {
        let what = if let [step] = steps { format!("step '{}'", escape(&step.name)) } else { "run".to_string() };
        self.gpu.checked(&what, || {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            steps.iter().for_each(|step| step.record(&mut pass));
            drop(pass);
            readback.record(&mut encoder, &self.buffers, wanted)?;
            Ok(queue.submit([encoder.finish()]))
        })
    }

    fn named(&self, computed: Vec<Tensor>) -> Vec<(String, Tensor)> {
        let mut computed = computed.into_iter();
        let name = |output: &Output| match output {
            Output::Computed(port) => computed.next().map(|tensor| (port.name.clone(), tensor)),
            Output::Constant(name, tensor) => Some((name.clone(), Tensor::clone(tensor))),
        };
        self.outputs.iter().filter_map(name).collect()
    }
}

fn computed(output: &Output) -> Option<&Port> {
    match output {
        Output::Computed(port) => Some(port),
        Output::Constant(..) => None,
    }
}

/// The row-major elements of a tensor of the port's kind and shape.
fn elements<'a>(port: &Port, tensor: &'a Tensor) -> Result<Cow<'a, [f32]>> {
    let given = tensor.tensor_type();
    if given != port.ty {
        let expected = &port.ty;
        let reason = format!("expected {:?} {expected}, got {:?} {given}", expected.kind, given.kind);
        return Err(Error::invalid(&port.name, reason));
    }
    numbers::to_device(&port.name, tensor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Options;
    use crate::gpu::fixture::{self, SCALE, SLOW};
    use std::time::Duration;

    fn reals(values: &[f32]) -> Tensor {
        Tensor::real(&[values.len()], values.to_vec()).unwrap()
    }

    fn session(len: usize) -> Session {
        fixture::gpu().load(&fixture::chain(&SCALE, len)).unwrap()
    }

    #[test]
    fn outputs_come_in_the_plans_order_with_constants_and_duplicates() {
        let outputs = session(5).run(&[("a", &fixture::ramp(5))]).unwrap();
        let c = reals(&[6.0, 12.0, 18.0, 24.0, 30.0]);
        let expected = [("c", c.clone()), ("k", reals(&[1.0, 2.0])), ("c", c)];
        assert_eq!(outputs, expected.map(|(name, tensor)| (name.to_string(), tensor)));
    }

    #[test]
    fn a_second_run_sees_its_own_inputs_only() {
        let session = session(3);
        session.run(&[("a", &fixture::ramp(3))]).unwrap();
        session.poison().unwrap();
        let outputs = session.run(&[("a", &reals(&[0.5, -1.0, 0.0]))]).unwrap();
        assert_eq!(outputs[0].1, reals(&[3.0, -6.0, 0.0]));
    }

    #[test]
    fn poison_shows_where_a_step_reads_what_nobody_wrote() {
        let mut plan = fixture::chain(&SCALE, 3);
        plan.steps.remove(0); // Nobody writes `b` now.
        let session = fixture::gpu().load(&plan).unwrap();
        session.poison().unwrap();
        let outputs = session.run(&[("a", &fixture::ramp(3))]).unwrap();
        assert!(outputs[0].1.as_real().unwrap().iter().all(|x| x.is_nan()), "{outputs:?}");
    }

    #[test]
    fn poison_spares_the_weights() {
        let session = fixture::gpu().load(&fixture::weighted(vec![10.0, 20.0, 30.0])).unwrap();
        session.poison().unwrap();
        let outputs = session.run(&[("a", &fixture::ramp(3))]).unwrap();
        assert_eq!(outputs[0].1, reals(&[11.0, 22.0, 33.0]));
    }

    #[test]
    fn shaders_with_run_time_checks_compute_the_same() {
        let gpu = fixture::gpu_with(&Options { checked: true, ..Default::default() });
        let outputs = gpu.load(&fixture::chain(&SCALE, 3)).unwrap().run(&[("a", &fixture::ramp(3))]).unwrap();
        assert_eq!(outputs[0].1, reals(&[6.0, 12.0, 18.0]));
    }

    #[test]
    fn empty_tensors_run() {
        let session = session(0);
        session.poison().unwrap();
        assert_eq!(session.run(&[("a", &reals(&[]))]).unwrap()[0].1, reals(&[]));
        let mut observe = |_, outputs: Vec<Tensor>| {
            assert_eq!(outputs, [reals(&[])]);
            Ok(())
        };
        session.run_stepwise(&[("a", &reals(&[]))], &mut observe).unwrap();
    }

    #[test]
    fn each_step_is_observed_right_after_it_ran() {
        let mut seen = Vec::new();
        let mut observe = |index, outputs: Vec<Tensor>| {
            seen.push((index, outputs));
            Ok(())
        };
        session(2).run_stepwise(&[("a", &fixture::ramp(2))], &mut observe).unwrap();
        assert_eq!(seen, [(0, vec![reals(&[2.0, 4.0])]), (1, vec![reals(&[6.0, 12.0])])]);
    }

    #[test]
    fn an_observers_error_stops_the_run() {
        let mut calls = 0;
        let mut observe = |_, _| {
            calls += 1;
            Err(Error::Usage("enough".to_string()))
        };
        let session = session(2);
        let error = session.run_stepwise(&[("a", &fixture::ramp(2))], &mut observe).unwrap_err();
        assert_eq!((error.to_string().as_str(), calls), ("enough", 1));
        assert!(session.run(&[("a", &fixture::ramp(2))]).is_ok());
    }

    #[test]
    fn inputs_that_do_not_fit_are_named() {
        let (session, ramp, ints) = (session(3), fixture::ramp(3), Tensor::ints(vec![1, 2, 3]));
        let message = |inputs: &[(&str, &Tensor)]| match session.run(inputs) {
            Err(error @ Error::Invalid { .. }) => error.to_string(),
            other => format!("not refused as invalid: {other:?}"),
        };
        assert_eq!(message(&[]), "a: is an input, and was not given");
        assert_eq!(message(&[("a", &ramp), ("z", &ramp)]), "z: is not an input; the inputs are: a");
        assert_eq!(message(&[("a", &ramp), ("a", &ramp)]), "a: is given twice");
        assert_eq!(message(&[("a", &fixture::ramp(4))]), "a: expected Real 3, got Real 4");
        assert_eq!(message(&[("a", &ints)]), "a: expected Real 3, got Int 3");
    }

    #[test]
    fn an_input_in_column_order_is_written_in_row_order() {
        let mut plan = fixture::chain(&SCALE, 6);
        let Output::Computed(port) = &mut plan.outputs[0] else { panic!("c is computed") };
        port.ty.shape = vec![2, 3];
        plan.inputs[0].ty.shape = vec![2, 3];
        let transposed = fixture::ramp(6).reshape(&[3, 2]).unwrap().as_real().unwrap().t().to_owned();
        let outputs = fixture::gpu().load(&plan).unwrap().run(&[("a", &transposed.into())]).unwrap();
        let expected = Tensor::real(&[2, 3], vec![6.0, 18.0, 30.0, 12.0, 24.0, 36.0]).unwrap();
        assert_eq!(outputs[0].1, expected);
    }

    #[test]
    fn sessions_of_one_device_run_from_several_threads() {
        let session = session(1000);
        std::thread::scope(|scope| {
            for factor in 1..=4 {
                let session = &session;
                scope.spawn(move || {
                    let input = Tensor::Real(fixture::ramp(1000).as_real().unwrap().mapv(|x| x * factor as f32));
                    let expected = input.as_real().unwrap().mapv(|x| x * 6.0);
                    for _ in 0..10 {
                        assert_eq!(session.run(&[("a", &input)]).unwrap()[0].1.as_real().unwrap(), &expected);
                    }
                });
            }
        });
    }

    #[test]
    fn a_step_that_reads_what_it_writes_is_refused_by_name() {
        let mut plan = fixture::chain(&SCALE, 4);
        plan.steps[1].dispatches[0].inputs[0] = plan.steps[1].dispatches[0].output;
        let error = fixture::gpu().load(&plan).unwrap_err();
        assert!(matches!(&error, Error::Internal(message) if message.contains("'c'")), "{error}");
    }

    #[test]
    fn a_grid_beyond_the_devices_limit_names_the_step() {
        let mut plan = fixture::chain(&SCALE, 4);
        plan.steps[1].dispatches[0].groups = [1, u32::MAX, 1];
        let error = fixture::gpu().load(&plan).unwrap_err();
        assert!(matches!(&error, Error::DeviceLimit { tensor, .. } if tensor == "c"), "{error}");
    }

    #[test]
    fn a_lost_device_is_an_error_that_says_so() {
        let session = session(4);
        session.gpu().device.destroy();
        let error = session.run(&[("a", &fixture::ramp(4))]).unwrap_err().to_string();
        assert!(error.starts_with("device: device lost"), "{error}");
        let again = session.run(&[("a", &fixture::ramp(4))]).unwrap_err().to_string();
        assert!(again.starts_with("device: device lost"), "{again}");
    }

    #[test]
    fn a_device_that_does_not_answer_in_time_is_an_error_and_its_session_can_be_dropped() {
        let len = 1 << 12;
        let mut session = fixture::gpu().load(&fixture::chain(&SLOW, len)).unwrap();
        session.gpu.options.timeout = Duration::from_micros(1);
        let error = session.run(&[("a", &fixture::ramp(len))]).unwrap_err().to_string();
        assert!(error.starts_with("device: timeout: no answer within 1µs"), "{error}");
    }
}
