//! The library as its users call it: a model, options, a session, on the CPU executor and on a device.

use reluctor::device::Device;
use reluctor::element::Element;
use reluctor::error::Error;
use reluctor::gpu::{self, Choice, Feature, Gpu};
use reluctor::onnx::{AttributeValue, Bindings, Declared, DeclaredDim, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor::{Model, Options, Session, cpu, plan};
use reluctor_testing::device;
use reluctor_testing::random::{Numbers, Random};
use reluctor_testing::tree::asset;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Two convolutions over images of any number, height and width.
fn any_size() -> Model {
    let mut random = Random::new(3);
    let mut model = ModelBuilder::new(17);
    let pads = [("pads", AttributeValue::Ints(vec![1; 4]))];
    model
        .input("x", &TensorType::real([0, 3, 0, 0]))
        .initializer("w1", &random.tensor(Numbers::Reals, &[8, 3, 3, 3]))
        .initializer("w2", &random.tensor(Numbers::Reals, &[4, 8, 3, 3]))
        .node("Conv", "one", &["x", "w1"], &["a"], &pads)
        .node("Relu", "relu", &["a"], &["b"], &[])
        .node("Conv", "two", &["b", "w2"], &["y"], &pads)
        .output("y", None);
    Model::from_bytes("any size", model.to_bytes()).unwrap()
}

fn image(shape: &[usize]) -> Tensor {
    Random::new(shape.iter().sum::<usize>() as u64).tensor(Numbers::Reals, shape)
}

/// Of a device of its own, so that what others compile is not counted.
fn own_gpu() -> Gpu {
    Gpu::open(&Choice::Gpu, &Default::default()).unwrap().expect("`gpu` never means the CPU executor")
}

fn reference(model: &Model, x: &Tensor) -> Tensor<f64> {
    let shapes = [("x".to_string(), x.shape().to_vec())].into();
    let graph = model.graph(&Bindings { shapes, ..Bindings::default() }).unwrap();
    cpu::Session::<f64>::new(&graph).run(&[("x", &x.cast())]).unwrap().remove(0).1
}

fn assert_near(computed: &Tensor, expected: &Tensor<f64>) {
    assert_eq!(computed.shape(), expected.shape());
    let pairs = computed.as_real().unwrap().iter().zip(expected.as_real().unwrap());
    pairs.for_each(|(&x, &y)| assert!((f64::from(x) - y).abs() <= 1e-4 * (1.0 + y.abs()), "{x} is not {y}"));
}

#[test]
fn a_model_runs_in_one_line_on_the_cpu_and_on_the_device() {
    let (model, x) = (any_size(), image(&[2, 3, 9, 7]));
    for device in [Choice::Cpu, Choice::Gpu] {
        let outputs = model.session(&Options::on(device)).unwrap().run(&[("x", &x)]).unwrap();
        assert_eq!(outputs[0].0, "y");
        assert_near(&outputs[0].1, &reference(&model, &x));
    }
}

#[test]
fn new_shapes_are_planned_again_without_compiling_what_is_compiled() {
    let (model, gpu) = (any_size(), own_gpu());
    let session = model.session_on(&Device::Gpu(gpu.clone()), &Options::default()).unwrap();
    assert_eq!((session.held(), gpu.compiled()), (0, 0), "nothing is known of the shapes yet");
    let shapes = [[1, 3, 16, 16], [1, 3, 24, 20], [1, 3, 32, 16]];
    let (mut variants, mut wanted) = (HashSet::new(), 0);
    for shape in &shapes {
        let x = image(shape);
        assert_near(&session.run(&[("x", &x)]).unwrap()[0].1, &reference(&model, &x));
        let plan = plan::plan(session.engine(&[("x", &x)]).unwrap().graph(), &gpu.limits()).unwrap();
        variants.extend(plan.dispatches().map(|dispatch| dispatch.variant.to_string()));
        wanted += plan.dispatches().count();
        assert_eq!(gpu.compiled(), variants.len(), "one pipeline a variant, whatever the shapes");
    }
    assert!(variants.len() < wanted, "sizes have variants in common");
    assert_eq!(session.held(), 3);
}

#[test]
fn a_plan_is_kept_until_others_were_used_more_recently() {
    let options = Options { plans: 2, ..Options::on(Choice::Cpu) };
    let session = any_size().session(&options).unwrap();
    let plan = |height: usize| session.engine(&[("x", &image(&[1, 3, height, 5]))]).unwrap();
    let same = |a: &std::sync::Arc<_>, b: &std::sync::Arc<_>| std::sync::Arc::ptr_eq(a, b);
    let (four, five) = (plan(4), plan(5));
    assert!(same(&four, &plan(4)), "kept, and now the last one used");
    plan(6);
    assert_eq!(session.held(), 2);
    assert!(same(&four, &plan(4)));
    assert!(!same(&five, &plan(5)), "was the oldest when the third one came");
}

#[test]
fn a_dimension_that_the_model_does_not_name_is_refused() {
    let bindings = Bindings { dims: [("height".to_string(), 9)].into(), ..Bindings::default() };
    let error = any_size().graph(&bindings).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
    let shapes = [("x".to_string(), vec![1, 3, 9, 7])].into();
    let error = any_size().graph(&Bindings { shapes, ..bindings }).unwrap_err();
    assert_eq!(error.to_string(), "the model has no dimension 'height'; it names: none");
}

#[test]
fn a_dimension_that_is_bound_to_another_size_than_is_given_is_refused() {
    let dims = Some(vec![DeclaredDim::Open("N".to_string()), DeclaredDim::Size(2)]);
    let declared = Declared { name: "x".to_string(), element: Element::F32, dims };
    let shape = |bound| {
        let shapes = [("x".to_string(), vec![3, 2])].into();
        declared.shape(&Bindings { shapes, dims: [("N".to_string(), bound)].into(), ..Bindings::default() })
    };
    assert_eq!(shape(3).unwrap(), [3, 2]);
    assert_eq!(shape(5).unwrap_err().to_string(), "dimension 'N' of input 'x' is 3, and bound to 5");
}

#[test]
fn a_model_without_open_dimensions_is_planned_when_the_session_is_made() {
    let bindings = Bindings { batch: Some(2), shapes: [("x".into(), vec![2, 3, 8, 8])].into(), ..Bindings::default() };
    let session = any_size().session(&Options { bindings, ..Options::on(Choice::Cpu) }).unwrap();
    assert_eq!(session.held(), 1);
    session.run(&[("x", &image(&[2, 3, 8, 8]))]).unwrap();
    assert_eq!(session.held(), 1);
}

#[test]
fn sessions_go_from_thread_to_thread_and_serve_several_at_once() {
    fn sent<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    for device in [Device::Cpu, Device::Gpu(device::gpu().clone())] {
        let model = any_size();
        let session: Session = sent(model.session_on(&device, &Options::default()).unwrap());
        let threads = [5, 6, 7, 8].map(|side| {
            let (session, model) = (session.clone(), model.clone());
            thread::spawn(move || {
                let x = image(&[1, 3, side, side]);
                let expected = reference(&model, &x);
                (0..4).for_each(|_| assert_near(&session.run(&[("x", &x)]).unwrap()[0].1, &expected));
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_run_that_is_awaited_gives_what_a_run_gives() {
    let (model, x) = (any_size(), image(&[1, 3, 6, 6]));
    for device in [Choice::Cpu, Choice::Gpu] {
        let session = pollster::block_on(model.session_async(&Options::on(device))).unwrap();
        let later = session.run_async(&[("x", &x)]);
        let other = session.run_async(&[("x", &x)]);
        drop(other); // Nobody waits for it, and nobody is hurt.
        assert_eq!(pollster::block_on(later).unwrap(), session.run(&[("x", &x)]).unwrap());
        let refused = pollster::block_on(session.run_async(&[("z", &x)]));
        assert!(matches!(refused, Err(Error::Usage(_))), "{refused:?}");
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let session = any_size().session(&Options::on(Choice::Cpu)).unwrap();
    let (x, ints) = (image(&[1, 3, 4, 4]), Tensor::ints(vec![1]));
    let message = |inputs: &[(&str, &Tensor)]| session.run(inputs).unwrap_err().to_string();
    assert_eq!(message(&[]), "input 'x' is missing");
    assert_eq!(message(&[("x", &x), ("x", &x)]), "input 'x' is given twice");
    assert_eq!(message(&[("x", &x), ("z", &x)]), "the model has no input 'z'; its inputs are: x");
    assert_eq!(message(&[("x", &ints)]), "input 'x': is declared as float32, but it holds Int");
    assert_eq!(message(&[("x", &image(&[1, 4, 4, 4]))]), "input 'x' has size 3 in dimension 1, not 4");
}

#[test]
fn what_holds_no_reals_is_a_constant_of_the_plan() {
    let mut model = ModelBuilder::new(13);
    model
        .input("x", &TensorType::real([0]))
        .input("shape", &Tensor::<f32>::ints(vec![0; 2]).tensor_type())
        .node("Reshape", "reshape", &["x", "shape"], &["y"], &[])
        .output("y", None);
    let model = Model::from_bytes("reshape", model.to_bytes()).unwrap();
    let session = model.session(&Options::on(Choice::Cpu)).unwrap();
    let x = image(&[6]);
    for shape in [[2, 3], [3, 2]] {
        let outputs = session.run(&[("x", &x), ("shape", &Tensor::ints(shape.to_vec()))]).unwrap();
        assert_eq!(outputs[0].1.shape(), shape.map(|size| size as usize));
    }
    assert_eq!(session.held(), 2);
}

#[test]
fn the_embedded_network_takes_batches_of_any_size() {
    let session = Model::open(asset("fashion_mnist.onnx")).unwrap().session(&Options::on(Choice::Cpu)).unwrap();
    for batch in [1, 5] {
        let input = image(&[batch, 1, 28, 28]);
        assert_eq!(session.run(&[("image", &input)]).unwrap()[0].1.shape(), [batch, 10]);
    }
}

#[test]
fn a_lost_device_is_opened_again_and_the_run_repeated() {
    let (model, x) = (any_size(), image(&[1, 3, 9, 7]));
    let session = model.session_on(&Device::Gpu(own_gpu()), &Options::default()).unwrap();
    let first = session.run(&[("x", &x)]).unwrap();
    session.device().gpu().unwrap().destroy();
    let second = session.run(&[("x", &x)]).unwrap();
    assert_eq!((first, session.reopened()), (second, 1));
}

#[test]
fn a_device_lost_again_and_again_in_mid_run_is_an_answer_or_a_device_error() {
    let (model, x) = (any_size(), image(&[1, 3, 64, 64]));
    let session = model.session_on(&Device::Gpu(own_gpu()), &Options::default()).unwrap();
    let expected = session.run(&[("x", &x)]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                session.device().gpu().unwrap().destroy();
                thread::sleep(Duration::from_millis(15));
            }
        });
        for _ in 0..12 {
            match session.run(&[("x", &x)]) {
                Ok(outputs) => assert_eq!(outputs, expected),
                Err(error) => assert!(matches!(error, Error::Device(_)), "{error}"),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(session.run(&[("x", &x)]).unwrap(), expected, "it still serves");
    assert!(session.reopened() > 0);
}

#[test]
fn sessions_of_one_device_run_side_by_side_and_may_be_dropped_in_between() {
    let (model, device) = (any_size(), Device::Gpu(own_gpu()));
    thread::scope(|scope| {
        for size in 5..9 {
            let (model, device) = (&model, &device);
            scope.spawn(move || {
                for turn in 0..4 {
                    let x = image(&[1, 3, size, size + turn]);
                    let session = model.session_on(device, &Options::default()).unwrap();
                    assert_near(&session.run(&[("x", &x)]).unwrap()[0].1, &reference(model, &x));
                }
            });
        }
    });
}

#[test]
fn adapters_that_lack_what_is_optional_compute_the_same() {
    use Feature::*;
    let (model, x) = (any_size(), image(&[1, 3, 20, 24]));
    let every = vec![Timestamps, F16, Int64, Subgroups, PipelineCache];
    for without in every.iter().map(|&feature| vec![feature]).chain([every.clone()]) {
        let options = gpu::Options { without: without.clone(), ..gpu::Options::default() };
        let gpu = Gpu::open(&Choice::Gpu, &options).unwrap().unwrap();
        let (features, limits) = (&gpu.report().features, gpu.limits());
        assert_eq!(features.timestamp_query, !without.contains(&Timestamps));
        assert_eq!(limits.subgroup_lanes > 0, !without.contains(&Subgroups));
        let session = model.session_on(&Device::Gpu(gpu.clone()), &Options::default()).unwrap();
        assert_near(&session.run(&[("x", &x)]).unwrap()[0].1, &reference(&model, &x));
        let times = session.engine(&[("x", &x)]).unwrap().trace(&[("x".to_string(), x.clone())]).unwrap();
        assert_eq!(times.is_some(), features.timestamp_query, "{without:?}");
    }
}

#[test]
fn words_of_64_bits_change_no_bit_of_a_result() {
    let (model, x) = (any_size(), image(&[2, 3, 20, 24]));
    let outputs = [vec![], vec![Feature::Int64]].map(|without| {
        let options = gpu::Options { without, ..gpu::Options::default() };
        let gpu = Gpu::open(&Choice::Gpu, &options).unwrap().unwrap();
        let session = model.session_on(&Device::Gpu(gpu), &Options::default()).unwrap();
        let output = session.run(&[("x", &x)]).unwrap().remove(0).1;
        output.as_real().unwrap().mapv(f32::to_bits)
    });
    assert_eq!(outputs[0], outputs[1]);
}

/// Source: ONNX, operator BatchNormalization: one dimension is the batch, of one channel.
#[test]
fn a_batch_of_numbers_is_normalized_and_statistics_that_training_computes_are_refused() {
    let network = |opset: i64, outputs: &[&str]| {
        let mut model = ModelBuilder::new(opset);
        model.input("x", &TensorType::real([3]));
        for (name, value) in [("scale", 2.0), ("bias", 1.0), ("mean", 3.0), ("variance", 4.0)] {
            model.initializer(name, &Tensor::real(&[1], vec![value]).unwrap());
        }
        let epsilon = [("epsilon", AttributeValue::Float(0.0))];
        let inputs = ["x", "scale", "bias", "mean", "variance"];
        model.node("BatchNormalization", "norm", &inputs, outputs, &epsilon).output("y", None);
        Model::from_bytes("norm", model.to_bytes()).unwrap()
    };
    let x = Tensor::real(&[3], vec![3.0, 5.0, -1.0]).unwrap();
    for device in [Choice::Cpu, Choice::Gpu] {
        let outputs = network(15, &["y"]).session(&Options::on(device)).unwrap().run(&[("x", &x)]).unwrap();
        assert_eq!(outputs[0].1, Tensor::real(&[3], vec![1.0, 3.0, -3.0]).unwrap());
    }
    let training = network(9, &["y", "m", "v", "sm", "sv"]).graph(&Bindings::default()).unwrap_err();
    assert!(training.to_string().contains("training mode"), "{training}");
}

/// A thread of a pool that waits for others takes on another task meanwhile: no run may wait for what its own thread holds.
#[test]
fn tasks_of_a_pool_share_a_session() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
    for device in [Choice::Cpu, Choice::Gpu] {
        let (model, large) = (any_size(), image(&[1, 3, 160, 160]));
        let session = model.session(&Options::on(device)).unwrap();
        let expected = reference(&model, &large);
        pool.scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|_| assert_near(&session.run(&[("x", &large)]).unwrap()[0].1, &expected));
            }
        });
    }
}

/// A zero point says which integers are meant, however it comes to its node.
#[test]
fn a_zero_point_keeps_its_type_on_its_way() {
    for way in ["Identity", "Squeeze", "Cast"] {
        let mut model = ModelBuilder::new(13);
        let to_uint8 = [("to", AttributeValue::Int(2))];
        let zero_point = Tensor::ints(vec![3]).reshape(&[]).unwrap();
        model
            .input("x", &TensorType::real([2]))
            .initializer("scale", &Tensor::real(&[], vec![0.5]).unwrap())
            .initializer("three", &zero_point)
            .node("Cast", "as_bytes", &["three"], &["bytes"], &to_uint8)
            .node(way, "on_its_way", &["bytes"], &["zero_point"], if way == "Cast" { &to_uint8 } else { &[] })
            .node("QuantizeLinear", "steps", &["x", "scale", "zero_point"], &["y"], &[])
            .output("y", None);
        let x = Tensor::real(&[2], vec![1.0, -9.0]).unwrap();
        let outputs = Model::from_bytes("steps", model.to_bytes()).unwrap().session(&Options::on(Choice::Cpu));
        assert_eq!(outputs.unwrap().run(&[("x", &x)]).unwrap()[0].1, Tensor::ints(vec![5, 0]), "{way}");
    }
}

/// Source: numpy.einsum: without an arrow, what is written twice is summed.
#[test]
fn einsum_without_an_arrow_sums_what_one_operand_names_twice() {
    let mut model = ModelBuilder::new(13);
    let equation = [("equation", AttributeValue::Text("aii".to_string()))];
    model.input("x", &TensorType::real([1, 3, 3])).node("Einsum", "trace", &["x"], &["y"], &equation).output("y", None);
    let x = Tensor::real(&[1, 3, 3], (0..9).map(|at| at as f32).collect()).unwrap();
    let session = Model::from_bytes("trace", model.to_bytes()).unwrap().session(&Options::on(Choice::Cpu)).unwrap();
    assert_eq!(session.run(&[("x", &x)]).unwrap()[0].1, Tensor::real(&[1], vec![12.0]).unwrap());
}
