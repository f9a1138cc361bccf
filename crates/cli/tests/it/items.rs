//! Items of a batch run in parts where the network keeps them apart, and only there.

use crate::cli::reluctor;
use reluctor::files::{read_tensors, write_npy};
use reluctor::items::{Lie, Mixes, Path};
use reluctor::onnx::{AttributeValue, Bindings, Model, ModelBuilder};
use reluctor::random::Random;
use reluctor::tensor::{Named, Tensor, TensorType};
use reluctor_testing::scratch::Scratch;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Items in all, so that neither batches of two nor of four leave none over.
const ITEMS: usize = 5;

fn ints(values: &[i64]) -> Tensor {
    Tensor::ints(values.to_vec())
}

fn axis(axis: i64) -> [(&'static str, AttributeValue); 1] {
    [("axis", AttributeValue::Int(axis))]
}

fn real(shape: &[usize]) -> Tensor {
    Random::new(5).tensor(shape, &(-1.0..1.0)).unwrap()
}

/// A network of an open number of items of a shape: `nodes` makes `y` of `x`.
fn network(item: &[usize], nodes: impl FnOnce(&mut ModelBuilder)) -> Vec<u8> {
    let mut model = ModelBuilder::new(17);
    model.input("x", &TensorType::real([&[0], item].concat()));
    nodes(&mut model);
    model.output("y", None).to_bytes()
}

/// Networks that bring items together, each with the node that does, and the shape of an item.
fn that_mix() -> Vec<(&'static str, Vec<u8>, Vec<usize>)> {
    let keep = |keep: i64| [("axes", AttributeValue::Ints(vec![0])), ("keepdims", AttributeValue::Int(keep))];
    let line = |node, nodes: &dyn Fn(&mut ModelBuilder)| (node, network(&[6], |model| nodes(model)), vec![6]);
    vec![
        line("softmax", &|model| _ = model.node("Softmax", "softmax", &["x"], &["y"], &axis(0))),
        line("mean", &|model| _ = model.node("ReduceMean", "mean", &["x"], &["y"], &keep(1))),
        line("mean", &|model| {
            model.node("ReduceMean", "mean", &["x"], &["m"], &keep(0)).node("Sub", "centred", &["x", "m"], &["y"], &[]);
        }),
        line("product", &|model| {
            let both = [("perm", AttributeValue::Ints(vec![1, 0]))];
            model.node("Transpose", "turned", &["x"], &["t"], &both).node(
                "MatMul",
                "product",
                &["x", "t"],
                &["y"],
                &[],
            );
        }),
        line("flat", &|model| {
            let both = [("perm", AttributeValue::Ints(vec![1, 0]))];
            model.initializer("shape", &ints(&[-1, 3])).node("Transpose", "turned", &["x"], &["t"], &both).node(
                "Reshape",
                "flat",
                &["t", "shape"],
                &["y"],
                &[],
            );
        }),
        line("joined", &|model| {
            model.initializer("more", &real(&[1, 6])).node("Concat", "joined", &["more", "x"], &["y"], &axis(0));
        }),
        line("first", &|model| {
            let range = ["from", "to", "along"].into_iter().zip([0, 1, 0]);
            range.for_each(|(name, value)| _ = model.initializer(name, &ints(&[value])));
            model.node("Slice", "first", &["x", "from", "to", "along"], &["f"], &[]);
            model.node("Sub", "apart", &["x", "f"], &["y"], &[]);
        }),
        line("best", &|model| {
            model.initializer("k", &ints(&[1])).node("TopK", "best", &["x", "k"], &["b", "places"], &axis(0));
            model.node("Sub", "apart", &["x", "b"], &["y"], &[]);
        }),
        // A number for each place in the batch.
        line("shifted", &|model| {
            model
                .initializer("zero", &Tensor::Int(ndarray::arr0(0).into_dyn()))
                .initializer("one", &Tensor::Int(ndarray::arr0(1).into_dyn()))
                .node("Shape", "sizes", &["x"], &["s"], &[])
                .node("Gather", "size", &["s", "zero"], &["n"], &[])
                .node("Range", "places", &["zero", "n", "one"], &["p"], &[])
                .node("Cast", "numbers", &["p"], &["r"], &[("to", AttributeValue::Int(1))])
                .initializer("column", &ints(&[-1, 1]))
                .node("Reshape", "column_of_them", &["r", "column"], &["c"], &[])
                .node("Add", "shifted", &["x", "c"], &["y"], &[]);
        }),
        // The number of items itself.
        line("share", &|model| {
            model
                .initializer("first", &ints(&[0]))
                .node("Shape", "sizes", &["x"], &["s"], &[])
                .node("Gather", "size", &["s", "first"], &["n"], &[])
                .node("Cast", "number", &["n"], &["r"], &[("to", AttributeValue::Int(1))])
                .node("Div", "share", &["x", "r"], &["y"], &[]);
        }),
    ]
}

/// Networks that keep items apart, and the shape of an item.
fn that_do_not() -> Vec<(&'static str, Vec<u8>, Vec<usize>)> {
    let image = vec![4, 5, 7];
    let of = |nodes: &dyn Fn(&mut ModelBuilder)| network(&[4, 5, 7], |model| nodes(model));
    vec![
        (
            "a convolutional network",
            of(&|model| {
                let pads = [("pads", AttributeValue::Ints(vec![1; 4]))];
                let pool = [("kernel_shape", AttributeValue::Ints(vec![2, 2]))];
                model
                    .initializer("w", &real(&[6, 4, 3, 3]))
                    .initializer("scale", &real(&[6]))
                    .initializer("bias", &real(&[6]))
                    .node("Conv", "conv", &["x", "w"], &["a"], &pads)
                    .node("InstanceNormalization", "norm", &["a", "scale", "bias"], &["b"], &[])
                    .node("Relu", "relu", &["b"], &["c"], &[])
                    .node("MaxPool", "pool", &["c"], &["d"], &pool)
                    .node("GlobalAveragePool", "mean", &["d"], &["e"], &[])
                    .node("Flatten", "flat", &["e"], &["f"], &axis(1))
                    .node("Softmax", "softmax", &["f"], &["y"], &axis(1));
            }),
            image.clone(),
        ),
        (
            "items merged with another dimension and parted again",
            of(&|model| {
                model
                    .initializer("rows", &ints(&[-1, 35]))
                    .initializer("back", &ints(&[-1, 4, 5, 7]))
                    .node("Reshape", "merged", &["x", "rows"], &["r"], &[])
                    .node("Softmax", "softmax", &["r"], &["p"], &axis(1))
                    .node("Reshape", "parted", &["p", "back"], &["y"], &[]);
            }),
            image.clone(),
        ),
        (
            "attention of each item to itself, with its first axis moved there and back",
            network(&[6, 8], |model| {
                let swap = |order: [i64; 3]| [("perm", AttributeValue::Ints(order.to_vec()))];
                model
                    .node("Transpose", "places_first", &["x"], &["t"], &swap([1, 0, 2]))
                    .node("Transpose", "items_first", &["t"], &["q"], &swap([1, 0, 2]))
                    .node("Transpose", "keys", &["t"], &["k"], &swap([1, 2, 0]))
                    .node("MatMul", "scores", &["q", "k"], &["s"], &[])
                    .node("Softmax", "weights", &["s"], &["w"], &axis(2))
                    .node("MatMul", "mixture", &["w", "q"], &["y"], &[]);
            }),
            vec![6, 8],
        ),
        (
            "the best of each item, compared, chosen and gathered",
            network(&[6], |model| {
                model
                    .initializer("k", &ints(&[3]))
                    .initializer("order", &ints(&[2, 0, 1]))
                    .initializer("zero", &Tensor::real(&[1], vec![0.0]).unwrap())
                    .node("TopK", "best", &["x", "k"], &["b", "places"], &axis(1))
                    .node("Gather", "turned", &["b", "order"], &["g"], &axis(1))
                    .node("Less", "small", &["g", "zero"], &["l"], &[])
                    .node("Where", "chosen", &["l", "zero", "g"], &["c"], &[])
                    .node("Concat", "beside", &["c", "x"], &["y"], &axis(1));
            }),
            vec![6],
        ),
        (
            "a shape that is computed of the batch's",
            network(&[2, 3], |model| {
                model
                    .initializer("first", &ints(&[0]))
                    .initializer("rest", &ints(&[6]))
                    .node("Shape", "sizes", &["x"], &["s"], &[])
                    .node("Gather", "size", &["s", "first"], &["n"], &[])
                    .node("Concat", "flat_shape", &["n", "rest"], &["f"], &axis(0))
                    .node("Reshape", "flat", &["x", "f"], &["y"], &[]);
            }),
            vec![2, 3],
        ),
        (
            "equal numbers for each place in the batch",
            network(&[6], |model| {
                model
                    .node("Shape", "sizes", &["x"], &["s"], &[])
                    .node("ConstantOfShape", "zeros", &["s"], &["z"], &[])
                    .node("Concat", "beside", &["x", "z"], &["y"], &axis(1));
            }),
            vec![6],
        ),
    ]
}

/// What a run makes of five items, so many at a time, or all.
fn outputs(model: &[u8], item: &[usize], device: &str, batch: Option<usize>) -> Result<Named, (Option<i32>, String)> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let folder = Scratch::folder(&format!("items-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
    let [network, x, saved] = ["network.onnx", "x.npy", "y.npz"].map(|name| folder.file(name));
    std::fs::write(&network, model).unwrap();
    write_npy(&x, &Random::new(9).tensor(&[&[ITEMS], item].concat(), &(-1.0..1.0)).unwrap()).unwrap();
    let x = format!("x={x}");
    let mut command = vec!["run", &network, "--device", device, "--input", &x, "--save-outputs", &saved];
    let batch = batch.map(|batch| batch.to_string());
    batch.iter().for_each(|batch| command.extend(["--batch", batch]));
    let output = reluctor(&command);
    match output.status.success() {
        true => Ok(read_tensors(&saved).unwrap()),
        false => Err((output.status.code(), String::from_utf8(output.stderr).unwrap())),
    }
}

#[test]
fn a_network_that_mixes_items_takes_them_all_at_once_or_none() {
    for device in ["cpu", "gpu"] {
        for (node, model, item) in that_mix() {
            for batch in [1, 2, 3] {
                let (code, reason) = outputs(&model, &item, device, Some(batch)).unwrap_err();
                assert_eq!(code, Some(2), "{node}, {batch}: {reason}");
                assert!(
                    reason.contains(&format!("'{node}'")) && reason.contains("--batch 5"),
                    "{node}, {batch}: {reason}"
                );
            }
            let whole = outputs(&model, &item, device, None).unwrap();
            assert_eq!(outputs(&model, &item, device, Some(ITEMS)).unwrap(), whole, "{node}");
        }
    }
}

#[test]
fn items_that_a_network_keeps_apart_are_in_parts_what_they_are_in_the_whole() {
    for device in ["cpu", "gpu"] {
        for (name, model, item) in that_do_not() {
            let whole = outputs(&model, &item, device, None).unwrap();
            for batch in [1, 2, 3] {
                let parts = outputs(&model, &item, device, Some(batch));
                assert_eq!(parts.as_ref(), Ok(&whole), "{name} on {device}, {batch} at a time");
            }
        }
    }
}

/// The path of so many items through a network.
fn path(model: &[u8], item: &[usize], items: usize) -> (Result<Path, Mixes>, reluctor::graph::Graph) {
    let shapes = HashMap::from([("x".to_string(), [&[items], item].concat())]);
    let bindings = Bindings { shapes, ..Bindings::default() };
    let graph = Model::from_bytes("network", model.to_vec()).unwrap().graph(&bindings).unwrap();
    (Path::of(&graph, items, |name| name == "x"), graph)
}

#[test]
fn a_path_says_where_an_output_holds_the_items() {
    let turned = network(&[6, 4], |model| {
        let swap = [("perm", AttributeValue::Ints(vec![1, 0, 2]))];
        model.initializer("shape", &ints(&[6, -1])).initializer("k", &real(&[3]));
        model.node("Transpose", "turned", &["x"], &["t"], &swap).node("Reshape", "flat", &["t", "shape"], &["y"], &[]);
        model.output("k", None);
    });
    let (path, graph) = path(&turned, &[6, 4], ITEMS);
    let path = path.unwrap();
    let [k, y] = ["k", "y"].map(|name| *graph.outputs.iter().find(|&&id| graph.value(id).name == name).unwrap());
    assert_eq!((path.lie(y), path.depends(k)), (Some(Lie { axis: 1, each: 4 }), false));
    // Their first dimension is the items' by chance alone.
    let (code, reason) = outputs(&turned, &[6, 4], "cpu", Some(2)).unwrap_err();
    assert!(code == Some(2) && reason.contains("'y'"), "{reason}");
}

#[test]
fn paths_of_batches_differ_where_the_number_of_items_is_computed_with() {
    let (node, model, item) = that_mix().pop().unwrap();
    let [two, three] = [2, 3].map(|items| path(&model, &item, items).0.unwrap());
    assert_eq!(two.differs(&three), Some(Mixes(node.to_string())));
    let (_, model, item) = that_do_not().remove(0);
    let [one, three] = [1, 3].map(|items| path(&model, &item, items).0.unwrap());
    assert_eq!(one.differs(&three), None);
}
