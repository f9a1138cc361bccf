//! Graphs that lack something, contradict themselves or go round in circles.

use super::bytes::{field, function, input, int, model, node, output, tensor, varint};
use super::{Case, good};
use reluctor::onnx::{AttributeValue, ModelBuilder, operators};
use reluctor::tensor::{Tensor, TensorType};

pub fn cases() -> Vec<Case> {
    let relu = |x: &str, y: &str| node("Relu", &[x], &[y], &[]);
    let set = |fields: Vec<u8>| {
        let graph = [relu("x", "y"), input(&[2]), output("y")].concat();
        [int(1, 8), fields, field(7, graph)].concat()
    };
    let opset = |version| set(field(8, int(2, version)));
    let w = || tensor("w", &[2], 1, &[field(9, [0; 8])]);
    let attribute = |fields: &[Vec<u8>]| field(5, fields.concat());
    let leaky =
        |attributes: &[Vec<u8>]| model(&[node("LeakyRelu", &["x"], &["y"], attributes), input(&[2]), output("y")]);
    let alpha = || attribute(&[field(1, "alpha"), varint(2 << 3 | 5), 0.5f32.to_le_bytes().to_vec(), int(20, 1)]);
    let mut cases = vec![
        Case::model("no graph", [int(1, 8), field(8, int(2, 17))].concat()).refused(4, "has no graph"),
        Case::model("an empty graph", model(&[])).refused(4, "no output"),
        Case::model("no operator set", set(vec![])).refused(4, "operator set"),
        Case::model("operator set 0", opset(0)).refused(4, "version 0"),
        Case::model("operator set -1", opset(-1)).refused(4, "version -1"),
        Case::model("operator set 1,000,000", opset(1_000_000)).refused(3, "1000000"),
        Case::model("operators of an unknown domain alone", set(field(8, [field(1, "com.x"), int(2, 1)].concat())))
            .refused(4, "version 0"),
        Case::model("a node of an unknown domain", {
            model(&[node("Relu", &["x"], &["y"], &[field(7, "com.x")]), input(&[2]), output("y")])
        })
        .refused(3, "com.x"),
        Case::model("two nodes of one name", {
            let named = |x: &str, y: &str| node("Relu", &[x], &[y], &[field(3, "n")]);
            model(&[named("x", "y"), named("y", "z"), input(&[2]), output("z")])
        })
        .gives_any(),
        Case::model("two constants of one name", model(&[w(), w(), relu("x", "y"), input(&[2]), output("y")]))
            .refused(4, "tensor 'w'"),
        Case::model("two inputs of one name", model(&[relu("x", "y"), input(&[2]), input(&[2]), output("y")]))
            .refused(4, "'x'"),
        Case::model("an output named twice", model(&[relu("x", "y"), input(&[2]), output("y"), output("y")]))
            .refused(4, "'y'"),
        Case::model("a cycle", {
            model(&[node("Add", &["x", "b"], &["a"], &[]), relu("a", "b"), input(&[2]), output("b")])
        })
        .refused(4, "cycle"),
        Case::model("a node that reads its own result", {
            model(&[node("Add", &["x", "y"], &["y"], &[]), input(&[2]), output("y")])
        })
        .refused(4, "cycle"),
        Case::model("nodes in the wrong order", {
            let negative = node("Neg", &["x"], &["a"], &[]);
            model(&[relu("a", "y"), negative, input(&[2]), output("y")])
        })
        .fed(&[2], &[-3.0, 2.0])
        .gives(&[3.0, 0.0]),
        Case::model("an input from nowhere", model(&[relu("nowhere", "y"), output("y")])).refused(4, "'nowhere'"),
        Case::model("an output from nowhere", model(&[relu("x", "y"), input(&[2]), output("z")])).refused(4, "'z'"),
        Case::model("an output that is an input", model(&[input(&[2]), output("x")]))
            .fed(&[2], &[1.0, 2.0])
            .gives(&[1.0, 2.0]),
        Case::model("no output", model(&[relu("x", "y"), input(&[2])])).refused(4, "output"),
        Case::model("a tensor computed twice", {
            model(&[relu("x", "y"), node("Neg", &["x"], &["y"], &[]), input(&[2]), output("y")])
        })
        .refused(4, "tensor 'y'"),
        Case::model("a node that computes an input", model(&[relu("x", "x"), input(&[2]), output("x")]))
            .refused(4, "'x'"),
        Case::model("a function that calls itself", {
            let graph = [node("F", &["x"], &["y"], &[]), input(&[2]), output("y")].concat();
            [int(1, 8), field(8, int(2, 17)), field(7, graph), function("F", "F", &["b"])].concat()
        })
        .refused(4, "calls itself"),
        Case::model("thirty functions that each call the next one twice", {
            let function = |at: usize| function(&format!("F{at}"), &format!("F{}", at + 1), &["t", "b"]);
            let graph = [node("F0", &["x"], &["y"], &[]), input(&[2]), output("y")].concat();
            let functions: Vec<u8> = (0..30).flat_map(function).collect();
            [int(1, 8), field(8, int(2, 17)), field(7, graph), functions].concat()
        })
        .refused(6, "functions inlined"),
        Case::model("an input that has a constant for its default", {
            let mut model = ModelBuilder::new(17);
            model
                .input("x", &TensorType::real([2]))
                .initializer("x", &Tensor::real(&[2], vec![-1.0, 1.0]).unwrap())
                .node("Relu", "n", &["x"], &["y"], &[])
                .output("y", None);
            model.to_bytes()
        })
        .gives(&[0.0, 1.0]),
        Case::model(
            "an operator that does not exist",
            model(&[node("Conw", &["x"], &["y"], &[]), input(&[2]), output("y")]),
        )
        .refused(3, "Conw"),
        Case::model("an attribute that does not exist", {
            leaky(&[attribute(&[field(1, "beta"), int(3, 1), int(20, 2)])])
        })
        .refused(3, "'beta'"),
        Case::model("an attribute of the wrong type", leaky(&[attribute(&[field(1, "alpha"), int(3, 1), int(20, 2)])]))
            .refused(4, "'alpha'"),
        Case::model("an attribute of two types", leaky(&[attribute(&[field(1, "alpha"), int(3, 1), int(20, 1)])]))
            .refused(4, "'alpha'"),
        Case::model("an attribute given twice", leaky(&[alpha(), alpha()])).refused(4, "'alpha'"),
        Case::model("sparse constants", model(&[field(15, ""), relu("x", "y"), input(&[2]), output("y")]))
            .refused(3, "sparse"),
        Case::model("an input without a type", model(&[relu("x", "y"), field(11, field(1, "x")), output("y")]))
            .refused(3, "'x'"),
        Case::model("an input of 2^40 numbers", model(&[relu("x", "y"), input(&[1 << 20, 1 << 20]), output("y")]))
            .refused(6, "'x'"),
        Case::model(
            "an input of 2^62 by 2^62 numbers",
            model(&[relu("x", "y"), input(&[1 << 62, 1 << 62]), output("y")]),
        )
        .refused(4, "memory"),
        Case::model("an input of 1,000 dimensions", model(&[relu("x", "y"), input(&[1; 1_000]), output("y")])).may(4),
        Case::model("an open size", {
            let dims = [field(1, int(1, 1)), field(1, field(2, "N"))].concat();
            let x = field(11, [field(1, "x"), field(2, field(1, [int(1, 1), field(2, dims)].concat()))].concat());
            model(&[relu("x", "y"), x, output("y")])
        })
        .refused(2, "dimension 'N'"),
        Case::command("a batch of 0", &["run", "@/model.onnx", "--batch", "0"])
            .file("model.onnx", good().to_bytes())
            .refused(2, "--batch"),
        Case::model("a million nodes", model(&[relu("x", "y").repeat(1_000_000), input(&[2]), output("y")]))
            .refused(4, "small parts"),
        Case::model("10,000 operators that do not exist", {
            let nodes: Vec<u8> = (0..10_000).flat_map(|at| node("Conw", &["x"], &[&format!("y{at}")], &[])).collect();
            model(&[nodes, input(&[2]), output("y0")])
        })
        .refused(3, "10000 unsupported"),
        Case::model("10,000 nodes that do nothing", {
            let name = |at: usize| if at == 0 { "x".to_string() } else { format!("y{at}") };
            let same = |at: usize| node("Identity", &[&name(at)], &[&name(at + 1)], &[]);
            model(&[(0..10_000).flat_map(same).collect(), relu("y10000", "y"), input(&[2]), output("y")])
        })
        .fed(&[2], &[-1.0, 1.0])
        .gives(&[0.0, 1.0]),
        Case::model("10,000 nodes in a row", {
            let name = |at: usize| if at == 0 { "x".to_string() } else { format!("y{at}") };
            let nodes: Vec<u8> = (0..10_000).flat_map(|at| relu(&name(at), &name(at + 1))).collect();
            model(&[nodes, input(&[2]), output("y10000")])
        })
        .fed(&[2], &[-1.0, 1.0])
        .gives(&[0.0, 1.0]),
    ];
    for (op_type, _) in operators() {
        let nothing = node(op_type, &[], &["y"], &[field(3, "n")]);
        cases.push(Case::model(format!("{op_type} without inputs"), model(&[nothing, output("y")])).may(4));
        let silent = node(op_type, &["x"], &[], &[field(3, "n")]);
        cases.push(
            Case::model(format!("{op_type} without outputs"), model(&[silent, input(&[1, 1, 2, 2]), output("x")]))
                .may(4),
        );
        let many = node(op_type, &["x"; 12], &["y"], &[field(3, "n")]);
        cases.push(
            Case::model(format!("{op_type} of twelve inputs"), model(&[many, input(&[1, 1, 2, 2]), output("y")]))
                .may(4),
        );
    }
    cases
}

/// A network that is good, but asks for more than it may.
pub fn budgets() -> Vec<Case> {
    let run = |flags: &[&str]| Case::model(format!("{flags:?}"), good().to_bytes()).with(flags);
    vec![
        run(&["--max-memory", "115"]).refused(6, "node 'conv'"),
        run(&["--max-memory", "63"]).refused(6, "tensor 'x'"),
        run(&["--max-memory", "1MiB", "--max-flops", "1K", "--max-nodes", "1"]).gives_any(),
        run(&["--max-flops", "10"]).refused(6, "floating-point operations"),
        run(&["--max-nodes", "0"]).refused(6, "graph 'graph'"),
        run(&["--max-nodes=-1"]).refused(2, "max-nodes"),
        run(&["--max-memory", "much"]).refused(2, "max-memory"),
        Case::model("a constant doubled forty times", doubled(40)).with(&["--max-memory", "64MiB"]).refused(6, "'a"),
        Case::model("five million equal numbers", filled(5_000_000)).gives_any(),
        Case::model("five million equal numbers in a mebibyte", filled(5_000_000))
            .with(&["--max-memory", "1MiB"])
            .refused(6, "by its shape"),
        Case::model("2^29 equal numbers", filled(1 << 29)).refused(6, "by its shape"),
        Case::model("a constant doubled eighty times", doubled(80)).refused(4, "memory can hold"),
    ]
}

/// The first of so many equal numbers, and the input.
fn filled(count: i64) -> Vec<u8> {
    let mut model = ModelBuilder::new(17);
    let first = [("axis", AttributeValue::Int(0))];
    model
        .input("x", &TensorType::real([1]))
        .initializer("count", &Tensor::ints(vec![count]))
        .initializer("zero", &Tensor::ints(vec![0]))
        .node("ConstantOfShape", "fill", &["count"], &["filled"], &[])
        .node("Gather", "first", &["filled", "zero"], &["one"], &first)
        .node("Add", "add", &["x", "one"], &["y"], &[])
        .output("y", None);
    model.to_bytes()
}

/// A constant joined to itself again and again, before it meets the input.
fn doubled(times: usize) -> Vec<u8> {
    let mut model = ModelBuilder::new(17);
    model
        .input("x", &TensorType::real([1]))
        .initializer("a0", &Tensor::real(&[18], vec![1.0; 18]).unwrap())
        .output("y", None);
    for at in 0..times {
        let [from, to] = [at, at + 1].map(|at| format!("a{at}"));
        model.node("Concat", &to, &[&from, &from], &[&to], &[("axis", AttributeValue::Int(0))]);
    }
    model.node("Add", "add", &["x", &format!("a{times}")], &["y"], &[]);
    model.to_bytes()
}
