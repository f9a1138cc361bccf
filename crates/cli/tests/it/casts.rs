//! Casts to each element type and on to each other against ONNX Runtime's, whose results `tests/golden/casts.py` stored, of
//! inputs that are known only when the network runs.

use crate::cli::reluctor;
use reluctor::element::{ELEMENTS, Element};
use reluctor::error::Error;
use reluctor::files::read_tensors;
use reluctor::gpu::Choice;
use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::{Kind, Tensor, TensorType, array};
use reluctor::{Model, Options};
use reluctor_testing::cases::{On, Tolerance, computed, difference};
use reluctor_testing::scratch::Scratch;
use std::collections::HashMap;

const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0 };

/// ONNX's number for an element type.
fn number(element: Element) -> AttributeValue {
    AttributeValue::Int(match element {
        Element::F32 => 1,
        Element::U8 => 2,
        Element::I8 => 3,
        Element::U16 => 4,
        Element::I16 => 5,
        Element::I32 => 6,
        Element::I64 => 7,
        Element::Bool => 9,
        Element::F16 => 10,
        Element::F64 => 11,
        Element::U32 => 12,
        Element::U64 => 13,
        Element::Bf16 => 16,
    })
}

/// `x` in f32, cast to each of these in turn; the last is `y`.
fn casts(count: usize, path: &[Element]) -> Model {
    let mut model = ModelBuilder::new(22);
    model.input("x", &TensorType::real([count])).output("y", None);
    let mut from = "x".to_string();
    for (at, &element) in path.iter().enumerate() {
        let to = if at + 1 == path.len() { "y".to_string() } else { format!("between {at}") };
        model.node("Cast", "", &[&from], &[&to], &[("to", number(element))]);
        from = to;
    }
    Model::from_bytes("casts", model.to_bytes()).unwrap()
}

/// By the elements' names.
type Stored = HashMap<String, Tensor>;

fn stored() -> Stored {
    let path = reluctor_testing::tree::root().join("tests/golden/casts.npz");
    read_tensors(path).unwrap().into_iter().collect()
}

/// The elements of these places.
fn taken(tensor: &Tensor, kept: &[bool]) -> Tensor {
    fn of<E: Clone>(values: &ndarray::ArrayD<E>, kept: &[bool]) -> ndarray::ArrayD<E> {
        let values: Vec<E> = values.iter().zip(kept).filter(|(_, kept)| **kept).map(|(x, _)| x.clone()).collect();
        array(&[values.len()], values).unwrap()
    }
    match tensor {
        Tensor::Real(values) => Tensor::Real(of(values, kept)),
        Tensor::Int(values) => Tensor::Int(of(values, kept)),
        Tensor::Bool(values) => Tensor::Bool(of(values, kept)),
    }
}

/// Which elements a device can have.
fn held(tensor: &Tensor) -> Vec<bool> {
    match tensor {
        Tensor::Int(values) => values.iter().map(|&x| x as f32 as i64 == x).collect(),
        // A device may take subnormal numbers for zeros.
        Tensor::Real(values) => values.iter().map(|x| !x.is_subnormal()).collect(),
        Tensor::Bool(values) => vec![true; values.len()],
    }
}

fn check(on: On) -> usize {
    let (stored, mut elements) = (stored(), 0);
    for first in ELEMENTS {
        for second in ELEMENTS {
            let of = |what: &str| &stored[&format!("{first}_{second}/{what}")];
            let kept: Vec<bool> = match on {
                On::Cpu => vec![true; of("x").len()],
                On::Device => {
                    let [x, between, y] = ["x", "between", "y"].map(|what| held(of(what)));
                    x.iter().zip(between).zip(y).map(|((&x, between), y)| x && between && y).collect()
                }
            };
            let [x, between, y] = ["x", "between", "y"].map(|what| taken(of(what), &kept));
            for (path, expected) in [(&[first][..], &between), (&[first, second], &y)] {
                let computed = computed(&casts(x.len(), path), &[("x".to_string(), x.clone())], on).unwrap();
                let found = difference(&computed.results, std::slice::from_ref(expected), EXACT);
                assert_eq!(found, None, "to {first}, {second} on {on}: {path:?} of {x:?}");
                elements += x.len();
            }
        }
    }
    elements
}

#[test]
fn casts_are_those_of_onnx_runtime_on_the_cpu() {
    assert!(check(On::Cpu) > 40_000);
}

#[test]
fn casts_are_those_of_onnx_runtime_on_the_device() {
    assert!(check(On::Device) > 30_000);
}

/// What ONNX Runtime 1.31.1 makes of these, by a scale of 0.5.
#[test]
fn quantization_of_what_is_no_number_is_that_of_onnx_runtime() {
    let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.25, 0.75, -1.25, 1e30, -1e30, 63.75, -64.25];
    let cases = [
        (Element::U8, 3, [0, 255, 0, 3, 5, 1, 255, 0, 131, 0]),
        (Element::I8, -5, [-128, 127, -128, -5, -3, -7, 127, -128, 123, -128]),
        (Element::U16, 7, [0, 65_535, 0, 7, 9, 5, 65_535, 0, 135, 0]),
        (Element::I16, -9, [-32_768, 32_767, -32_768, -9, -7, -11, 32_767, -32_768, 119, -137]),
    ];
    let x = Tensor::real(&[x.len()], x.to_vec()).unwrap();
    for (element, zero_point, expected) in cases {
        let mut model = ModelBuilder::new(21);
        model
            .input("x", &x.tensor_type())
            .initializer("scale", &Tensor::real(&[], vec![0.5]).unwrap())
            .initializer("wide", &Tensor::ints(vec![zero_point]).reshape(&[]).unwrap())
            .node("Cast", "", &["wide"], &["zero_point"], &[("to", number(element))])
            .node("QuantizeLinear", "", &["x", "scale", "zero_point"], &["y"], &[])
            .output("y", None);
        let model = Model::from_bytes("steps", model.to_bytes()).unwrap();
        for on in [On::Cpu, On::Device] {
            let computed = computed(&model, &[("x".to_string(), x.clone())], on).unwrap();
            assert_eq!(computed.results[0].1, Tensor::ints(expected.to_vec()), "{element} on {on}");
        }
    }
}

#[test]
fn a_device_refuses_an_integer_that_it_has_not() {
    let (model, x) = (casts(1, &[Element::U32]), Tensor::real(&[1], vec![-1.0]).unwrap());
    let session = |device| model.session(&Options::on(device)).unwrap();
    assert_eq!(session(Choice::Cpu).run(&[("x", &x)]).unwrap()[0].1, Tensor::ints(vec![u32::MAX.into()]));
    let refused = session(Choice::Gpu).run(&[("x", &x)]).unwrap_err();
    assert!(matches!(&refused, Error::Invalid { reason, .. } if reason.contains("a device has not")), "{refused}");
}

/// numpy's own name for each element type; it has no bfloat16.
fn descr(element: Element) -> &'static str {
    match element {
        Element::F16 => "<f2",
        Element::Bf16 | Element::F32 => "<f4",
        Element::F64 => "<f8",
        Element::I8 => "|i1",
        Element::I16 => "<i2",
        Element::I32 => "<i4",
        Element::I64 => "<i8",
        Element::U8 => "|u1",
        Element::U16 => "<u2",
        Element::U32 => "<u4",
        Element::U64 => "<u8",
        Element::Bool => "|b1",
    }
}

#[test]
fn an_output_is_written_in_the_type_that_the_model_declares() {
    let scratch = Scratch::folder("declared");
    let [given, saved] = ["x.npy", "y.npz"].map(|name| scratch.file(name));
    let x = Tensor::real(&[3], vec![0.3, 100.7, 1.0]).unwrap();
    reluctor::files::write_npy(&given, &x).unwrap();
    for element in ELEMENTS {
        let ty = TensorType { kind: element.kind(), shape: vec![3] };
        let mut model = ModelBuilder::new(22);
        model
            .input("x", &x.tensor_type())
            .node("Cast", "", &["x"], &["y"], &[("to", number(element))])
            .output("y", Some(&ty))
            .element("y", element);
        let file = Scratch::with("declared.onnx", &model.to_bytes());
        let session = Model::open(file.path()).unwrap().session(&Options::on(Choice::Cpu)).unwrap();
        let (name, declared) = &session.outputs()[0];
        assert_eq!((name.as_str(), declared.as_ref().unwrap().element), ("y", element));
        let expected = session.run(&[("x", &x)]).unwrap();
        for device in ["cpu", "gpu"] {
            let run = ["run", file.path(), "--device", device, "--input", &given, "--save-outputs", &saved];
            let run = reluctor(&run);
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            let header = format!("'descr': '{}'", descr(element));
            let bytes = std::fs::read(&saved).unwrap();
            assert!(bytes.windows(header.len()).any(|found| found == header.as_bytes()), "{element} on {device}");
            assert_eq!(read_tensors(&saved).unwrap(), expected, "{element} on {device}");
        }
    }
}

#[test]
fn an_input_takes_no_integer_that_its_declared_type_has_not() {
    let mut model = ModelBuilder::new(22);
    let ty = TensorType { kind: Kind::Int, shape: vec![2] };
    model.input("x", &ty).element("x", Element::U8).node("Identity", "", &["x"], &["y"], &[]).output("y", None);
    let session = Model::from_bytes("bytes", model.to_bytes()).unwrap().session(&Options::on(Choice::Cpu)).unwrap();
    let fits = Tensor::ints(vec![0, 255]);
    assert_eq!(session.run(&[("x", &fits)]).unwrap()[0].1, fits);
    let refused = session.run(&[("x", &Tensor::ints(vec![1, 256]))]).unwrap_err().to_string();
    assert_eq!(refused, "input 'x': is declared as uint8, but it holds 256");
}
