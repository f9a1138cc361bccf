//! What strangers may hand over: each bad input ends soon, in little memory, with its exit code, one error and one hint;
//! each input that is only strange gives the right numbers.

mod bytes;
mod data_files;
mod devices;
#[cfg(unix)]
mod external;
mod files;
mod graphs;
mod numbers;
mod operators;
mod run;
mod tensors;

use bytes::one_node;
use reluctor::files::write_npy;
use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::Tensor;
use run::check;
use std::path::Path;

type Prepare = Box<dyn Fn(&Path)>;

/// One input: how its files are made, the command line that reads them, and what must come of it.
pub struct Case {
    name: String,
    prepare: Vec<Prepare>,
    arguments: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
    outcome: Outcome,
}

pub enum Outcome {
    /// The exit code, and a word of the error.
    Refused(i32, &'static str),
    /// The elements of the first output, bit by bit but for NaN.
    Gives(Vec<f32>),
    /// Right, whatever it computes.
    Fine,
    /// It need not be refused, but if it is, then with this exit code or as unsupported.
    Survived(i32),
}

impl Case {
    /// A command line; `@` stands for the folder of the files.
    pub fn command(name: impl Into<String>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| argument.to_string()).collect();
        Case { name: name.into(), prepare: vec![], arguments, env: vec![], outcome: Outcome::Survived(4) }
    }

    /// A model's file, run on random numbers.
    pub fn model(name: impl Into<String>, model: Vec<u8>) -> Self {
        let arguments = ["run", "@/model.onnx", "--random", "--device", "cpu", "--save-outputs", "@/out.npz"];
        Case::command(name, &arguments).file("model.onnx", model)
    }

    /// A model of one node.
    pub fn node(op_type: &str, name: &str, inputs: &[Tensor], attributes: &[(&str, AttributeValue)]) -> Self {
        Case::model(format!("{op_type}: {name}"), one_node(op_type, inputs, attributes))
    }

    /// Beside the others.
    pub fn file(self, name: &'static str, content: Vec<u8>) -> Self {
        self.made(move |folder| std::fs::write(folder.join(name), &content).unwrap())
    }

    /// Files that are more than their content.
    pub fn made(mut self, prepare: impl Fn(&Path) + 'static) -> Self {
        self.prepare.push(Box::new(prepare));
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    fn prepare(&self, folder: &Path) {
        self.prepare.iter().for_each(|prepare| prepare(folder));
    }

    /// Further arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| argument.to_string()));
        self
    }

    /// What the input `x` holds.
    pub fn fed(self, shape: &[usize], data: &[f32]) -> Self {
        let tensor = Tensor::real(shape, data.to_vec()).unwrap();
        self.made(move |folder| write_npy(folder.join("x.npy"), &tensor).unwrap()).with(&["--input", "x=@/x.npy"])
    }

    pub fn refused(self, code: i32, word: &'static str) -> Self {
        Case { outcome: Outcome::Refused(code, word), ..self }
    }

    pub fn gives_any(self) -> Self {
        Case { outcome: Outcome::Fine, ..self }
    }

    pub fn may(self, code: i32) -> Self {
        Case { outcome: Outcome::Survived(code), ..self }
    }

    pub fn gives(self, elements: &[f32]) -> Self {
        Case { outcome: Outcome::Gives(elements.to_vec()), ..self }
    }
}

/// A network that nothing is wrong with, whose input is 1x1x4x4.
pub fn good() -> ModelBuilder {
    let mut model = ModelBuilder::new(17);
    let weight = Tensor::real(&[1, 1, 3, 3], vec![1.0; 9]).unwrap();
    model
        .input("x", &reluctor::tensor::TensorType::real([1, 1, 4, 4]))
        .initializer("w", &weight)
        .node("Conv", "conv", &["x", "w"], &["y"], &[])
        .output("y", None);
    model
}

#[test]
fn files_that_are_no_model() {
    check(files::cases());
}

#[test]
fn graphs_that_make_no_sense() {
    check(graphs::cases());
}

#[test]
fn tensors_that_are_not_what_they_declare() {
    check(tensors::cases());
}

#[cfg(unix)]
#[test]
fn tensors_in_files_that_are_none_of_the_models_business() {
    check(external::cases());
}

#[test]
fn operators_asked_for_the_impossible() {
    check(operators::cases());
}

#[test]
fn numbers_at_the_edges() {
    check(numbers::cases());
}

#[test]
fn data_files_that_lie() {
    check(data_files::cases());
}

#[test]
fn good_networks_over_budget() {
    check(graphs::budgets());
}

#[test]
fn devices_that_are_not_there() {
    check(devices::cases());
}
