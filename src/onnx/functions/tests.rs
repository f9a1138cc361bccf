use super::super::builder::value_info;
use super::*;
use crate::cpu;
use crate::onnx::proto::{Encode, ValueInfoProto};
use crate::onnx::{Bindings, Model as File, ModelBuilder};
use crate::tensor::{Tensor, TensorType};

fn node<'a>(op_type: &'a str, inputs: &[&'a str], outputs: &[&'a str]) -> NodeProto<'a> {
    NodeProto { op_type, inputs: inputs.to_vec(), outputs: outputs.to_vec(), ..NodeProto::default() }
}

fn call<'a>(function: &'a str, inputs: &[&'a str], outputs: &[&'a str]) -> NodeProto<'a> {
    NodeProto { domain: "own", ..node(function, inputs, outputs) }
}

fn with<'a>(node: NodeProto<'a>, name: &'a str, value: Attribute<'a>) -> NodeProto<'a> {
    let attributes = [node.attributes, vec![AttributeProto { name, value }]].concat();
    NodeProto { attributes, ..node }
}

fn function<'a>(name: &'a str, inputs: &[&'a str], outputs: &[&'a str], nodes: &[NodeProto<'a>]) -> FunctionProto<'a> {
    FunctionProto {
        name,
        domain: "own",
        inputs: inputs.to_vec(),
        outputs: outputs.to_vec(),
        nodes: nodes.to_vec(),
        opset_imports: vec![OpsetImport { domain: "", version: 17 }],
        ..FunctionProto::default()
    }
}

/// `LeakyRelu(a - b) + b`, the slope being the attribute `slope`.
fn bent<'a>() -> FunctionProto<'a> {
    let leaky = with(node("LeakyRelu", &["t"], &["u"]), "alpha", Attribute::Reference("slope"));
    let nodes = [node("Add", &["u", "b"], &["c"]), node("Sub", &["a", "b"], &["t"]), leaky];
    FunctionProto { attributes: vec!["slope"], ..function("Bent", &["a", "b"], &["c"], &nodes) }
}

/// A model of two inputs of four numbers and one output.
fn file(functions: &[FunctionProto<'_>], nodes: &[NodeProto<'_>]) -> Result<File> {
    let ty = TensorType::real([4]);
    let graph = GraphProto {
        name: "g",
        nodes: nodes.to_vec(),
        inputs: ["x", "y"].map(|name| value_info(name, Some(&ty))).to_vec(),
        outputs: vec![ValueInfoProto { name: "z", tensor: None }],
        ..GraphProto::default()
    };
    let model = Model {
        ir_version: 8,
        opset_imports: vec![OpsetImport { domain: "", version: 17 }, OpsetImport { domain: "own", version: 1 }],
        producer_name: "",
        producer_version: "",
        graph,
        functions: functions.to_vec(),
    };
    File::from_bytes("file", model.encode())
}

const X: [f32; 4] = [-2.0, 3.0, 0.5, -7.0];
const Y: [f32; 4] = [1.0, -1.0, 4.0, 2.0];

fn run(file: &File) -> Vec<f32> {
    let graph = file.graph(&Bindings::default()).unwrap();
    let [x, y] = [X, Y].map(|values| Tensor::real(&[4], values.to_vec()).unwrap());
    let results = cpu::Session::<f32>::new(&graph).run(&[("x", &x), ("y", &y)]).unwrap();
    results[0].1.as_real().unwrap().iter().copied().collect()
}

fn gives(functions: &[FunctionProto<'_>], nodes: &[NodeProto<'_>]) -> Vec<f32> {
    run(&file(functions, nodes).unwrap())
}

fn refusal(functions: &[FunctionProto<'_>], nodes: &[NodeProto<'_>]) -> Error {
    file(functions, nodes).err().expect("this file is refused")
}

fn on_each(compute: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    X.into_iter().zip(Y).map(|(x, y)| compute(x, y)).collect()
}

fn leaky(slope: f32, x: f32) -> f32 {
    if x < 0.0 { slope * x } else { x }
}

#[test]
fn a_call_computes_what_its_twin_without_functions_does() {
    // A function of functions, whose inner names are those of the graph and of each other.
    let slope = || Attribute::Reference("slope");
    let calls = [
        with(call("Bent", &["x", "y"], &["t"]), "slope", slope()),
        with(call("Bent", &["t", "x"], &["z"]), "slope", Attribute::Float(0.25)),
    ];
    let outer = FunctionProto { attributes: vec!["slope"], ..function("Outer", &["x", "y"], &["z"], &calls) };
    let named = |node| NodeProto { name: "n", ..node };
    let nodes = [
        named(with(call("Outer", &["y", "x"], &["t"]), "slope", Attribute::Float(0.5))),
        named(with(call("Outer", &["t", "y"], &["z"]), "slope", Attribute::Float(-2.0))),
    ];
    let model = file(&[outer, bent()], &nodes).unwrap();

    let ty = TensorType::real([4]);
    let mut twin = ModelBuilder::new(17);
    twin.input("x", &ty).input("y", &ty).output("z", None);
    let steps = [("y", "x", "a", 0.5), ("a", "y", "t", 0.25), ("t", "y", "b", -2.0), ("b", "t", "z", 0.25)];
    for (a, b, c, slope) in steps {
        let [difference, bent] = ["difference", "bent"].map(|name| format!("{c} {name}"));
        twin.node("Sub", "", &[a, b], &[&difference], &[]);
        twin.node("LeakyRelu", "", &[&difference], &[&bent], &[("alpha", slope.into())]);
        twin.node("Add", "", &[&bent, b], &[c], &[]);
    }
    assert_eq!(run(&model), run(&File::from_bytes("twin", twin.to_bytes()).unwrap()));

    let graph = model.graph(&Bindings::default()).unwrap();
    let mut names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    let mut values: Vec<&str> = graph.values.iter().map(|value| value.name.as_str()).collect();
    values.sort_unstable();
    assert!(values.windows(2).all(|pair| pair[0] != pair[1]), "{values:?}");
    assert_eq!(model.outline().unwrap().operators.values().sum::<usize>(), 12);
}

#[test]
fn an_attribute_is_the_calls_or_the_functions_or_the_operators_own() {
    let plain = call("Bent", &["x", "y"], &["z"]);
    let given = || with(plain.clone(), "slope", Attribute::Float(0.5));
    let slope = AttributeProto { name: "slope", value: Attribute::Float(3.0) };
    let defaulted = || FunctionProto { attributes: vec![], defaults: vec![slope.clone()], ..bent() };
    let expected = |slope| on_each(|x, y| leaky(slope, x - y) + y);
    assert_eq!(gives(&[bent()], &[given()]), expected(0.5));
    assert_eq!(gives(&[bent()], std::slice::from_ref(&plain)), expected(0.01));
    assert_eq!(gives(&[defaulted()], &[given()]), expected(0.5));
    assert_eq!(gives(&[defaulted()], &[plain]), expected(3.0));
}

#[test]
fn an_input_that_a_call_leaves_out_is_left_out_inside() {
    let limits = ["low", "high"].map(|name| {
        let number = if name == "low" { -1.0 } else { 1.0 };
        with(node("Constant", &[], &[name]), "value_float", Attribute::Float(number))
    });
    let clip = function("Limit", &["a", "low", "high"], &["b"], &[node("Clip", &["a", "low", "high"], &["b"])]);
    let result = |inputs: &[&'static str]| {
        let nodes = [&limits[..], &[call("Limit", inputs, &["z"])]].concat();
        gives(std::slice::from_ref(&clip), &nodes)
    };
    assert_eq!(result(&["x", "low", "high"]), on_each(|x, _| x.clamp(-1.0, 1.0)));
    assert_eq!(result(&["x", "low"]), on_each(|x, _| x.max(-1.0)));
    assert_eq!(result(&["x", "", "high"]), on_each(|x, _| x.min(1.0)));
    assert_eq!(result(&["x"]), X);
}

#[test]
fn an_output_may_be_an_input_or_given_twice_or_left_out() {
    let swap = function("Swap", &["a", "b"], &["b", "a"], &[]);
    let nodes = [call("Swap", &["x", "y"], &["p", "q"]), node("Sub", &["p", "q"], &["z"])];
    assert_eq!(gives(&[swap], &nodes), on_each(|x, y| y - x));
    let both = function("Both", &["a"], &["b", "b", "c"], &[node("Neg", &["a"], &["b"]), node("Abs", &["a"], &["c"])]);
    let nodes = [call("Both", &["x"], &["p", "q"]), node("Add", &["p", "q"], &["z"])];
    assert_eq!(gives(std::slice::from_ref(&both), &nodes), on_each(|x, _| -2.0 * x));
    assert_eq!(gives(&[both], &[call("Both", &["x"], &["", "", "z"])]), on_each(|x, _| x.abs()));
}

#[test]
fn functions_of_one_name_are_told_apart() {
    let named = |overload, op_type| {
        let nodes = [node(op_type, &["a"], &["b"])];
        FunctionProto { overload, ..function("F", &["a"], &["b"], &nodes) }
    };
    let functions = [named("", "Neg"), named("second", "Abs")];
    let nodes = [NodeProto { overload: "second", ..call("F", &["x"], &["z"]) }];
    assert_eq!(gives(&functions, &nodes), on_each(|x, _| x.abs()));
    let again = refusal(&[named("", "Neg"), named("", "Abs")], &nodes);
    assert!(again.to_string().contains("function 'F': is defined twice"), "{again}");
}

#[test]
fn a_body_sees_nothing_but_its_inputs() {
    let peeks = function("Peeks", &["a"], &["b"], &[node("Add", &["a", "y"], &["b"])]);
    let model = file(&[peeks], &[call("Peeks", &["x"], &["z"])]).unwrap();
    let error = model.graph(&Bindings::default()).unwrap_err().to_string();
    assert!(error.contains("reads 'z/y', which nothing defines"), "{error}");
}

#[test]
fn what_calls_itself_is_refused_where_it_is_called() {
    let direct = function("F", &["a"], &["b"], &[call("F", &["a"], &["b"])]);
    let [there, back] = [("There", "Back"), ("Back", "There")]
        .map(|(name, other)| function(name, &["a"], &["b"], &[call(other, &["a"], &["b"])]));
    for (functions, name) in [(vec![direct.clone()], "F"), (vec![there, back], "There")] {
        let error = refusal(&functions, &[call(name, &["x"], &["z"])]);
        assert_eq!(error.to_string(), format!("file: function '{name}': calls itself"));
    }
    assert_eq!(gives(&[direct], &[node("Neg", &["x"], &["z"])]), on_each(|x, _| -x));
}

#[test]
fn a_small_file_does_not_become_large() {
    const NAMES: [&str; 40] = {
        const TEXT: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn";
        let mut names = [""; 40];
        let mut at = 0;
        while at < names.len() {
            names[at] = TEXT.split_at(at).1.split_at(1).0;
            at += 1;
        }
        names
    };
    // Each calls the next one so often.
    let tower = |height: usize, calls: usize| -> Vec<FunctionProto<'static>> {
        let last = function(NAMES[height - 1], &["a"], &["b"], &[node("Neg", &["a"], &["b"])]);
        let floor = |at: usize| {
            let mut nodes = vec![call(NAMES[at + 1], &["a"], &["unread"]); calls - 1];
            nodes.push(call(NAMES[at + 1], &["a"], &["b"]));
            function(NAMES[at], &["a"], &["b"], &nodes)
        };
        (0..height - 1).map(floor).chain([last]).collect()
    };
    let start = [call("A", &["x"], &["z"])];
    assert_eq!(gives(&tower(MAX_DEPTH, 1), &start), on_each(|x, _| -x));
    let deep = refusal(&tower(MAX_DEPTH + 1, 1), &start);
    assert!(matches!(&deep, Error::Unsupported { .. }) && deep.to_string().contains("nest deeper than 32"), "{deep}");
    for calls in [2, 40] {
        let wide = refusal(&tower(30, calls), &start);
        assert!(matches!(wide, Error::Budget { budget: 16384, unit: "nodes", .. }), "{wide}");
    }
}

#[test]
fn copies_of_an_attribute_and_of_long_names_count() {
    let values = Attribute::Floats(vec![0.0; 4 << 20]);
    let heavy = [with(node("Constant", &[], &["b"]), "value_floats", values)];
    let heavy = function("Heavy", &[], &["b"], &heavy);
    let long = "n".repeat(4 << 20);
    let long = function("Long", &[], &["b"], &[node("Constant", &[], &[&long])]);
    for function in [&heavy, &long] {
        let calls = vec![call(function.name, &[], &["z"]); 10];
        let error = refusal(std::slice::from_ref(function), &calls);
        assert!(matches!(error, Error::Budget { unit: "more bytes of names and attributes", .. }), "{error}");
    }
}

#[test]
fn inlined_nodes_count_against_the_budget_for_nodes() {
    let model = file(&[bent()], &[call("Bent", &["x", "y"], &["z"])]).unwrap();
    let mut bindings = Bindings::default();
    for (nodes, fits) in [(2, false), (3, true)] {
        bindings.budget.nodes = Some(nodes);
        assert_eq!(model.graph(&bindings).is_ok(), fits, "{nodes}");
    }
}

#[test]
fn what_is_beyond_the_engine_is_listed() {
    let body = Attribute::Graph(Box::default());
    let branch = with(node("If", &["a"], &["b"]), "then_branch", body.clone());
    let taking = FunctionProto { attributes: vec!["body"], ..function("Taking", &["a"], &["b"], &[]) };
    let other = vec![OpsetImport { domain: "", version: 18 }];
    let functions = [
        function("Branch", &["a"], &["b"], &[branch]),
        taking,
        FunctionProto { opset_imports: other, ..function("Newer", &["a"], &["b"], &[]) },
        FunctionProto { domain: "", ..function("Relu", &["a"], &["b"], &[]) },
        bent(),
    ];
    let nodes = [
        call("Branch", &["x"], &["p"]),
        with(call("Taking", &["x"], &["q"]), "body", body),
        call("Newer", &["x"], &["r"]),
        node("Relu", &["x"], &["s"]),
        with(call("Bent", &["x", "y"], &["z"]), "angle", Attribute::Int(1)),
    ];
    let Error::Unsupported { nodes, .. } = refusal(&functions, &nodes) else { panic!("another error") };
    let reasons: Vec<&str> = nodes.iter().map(|node| node.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "functions with graphs in attributes are not supported",
            "functions with graphs in attributes are not supported",
            "functions of opset 18 in a model of opset 17 are not supported",
            "functions of the model that have the name of an ONNX operator are not supported",
            "the function has no attribute 'angle'",
        ]
    );
}

#[test]
fn a_call_that_does_not_fit_its_function_is_refused() {
    for (call, reason) in [
        (call("Bent", &["x", "y", "x"], &["z"]), "has 2 inputs, but 'z' gives 3"),
        (call("Bent", &["x", "y"], &["z", "w"]), "has 1 outputs, but 'z' gives 2"),
    ] {
        assert!(refusal(&[bent()], &[call]).to_string().contains(reason), "{reason}");
    }
    let own = function("Own", &["a"], &["b"], &[node("Neg", &["a"], &["a"])]);
    let error = refusal(&[own], &[call("Own", &["x"], &["z"])]).to_string();
    assert!(error.contains("computes its own input 'a'"), "{error}");
}
