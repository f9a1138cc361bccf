//! However many numbers a sum has, the CPU executor forms it in f32 as if they were few.

use reluctor::bound::gamma;
use reluctor::graph::{Node, ValueId};
use reluctor::onnx::{AttributeValue, Bindings, Model, ModelBuilder};
use reluctor::ops::Op;
use reluctor::passes::{Fusion, optimize};
use reluctor::random::Random;
use reluctor::tensor::{Tensor, TensorType};
use std::collections::{BTreeSet, HashMap};

/// Numbers of a sum.
const MANY: usize = 1 << 17;
/// Roundings that a number may take part in on its way into a sum: matrix products form theirs 1,024 at a time.
const FEW: usize = 1100;

/// How a sum's numbers are.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    /// A large one, and after it so many small ones of its sign that they matter together and none does alone.
    LargeFirst,
    Mixed,
}

impl Numbers {
    /// `large` and `small` are the two numbers of [`Numbers::LargeFirst`].
    fn of(self, shape: &[usize], [large, small]: [f32; 2]) -> Tensor {
        match self {
            Numbers::LargeFirst => {
                let number = |at: usize| if at.is_multiple_of(MANY) { large } else { small };
                Tensor::real(shape, (0..shape.iter().product()).map(number).collect()).unwrap()
            }
            Numbers::Mixed => Random::new(7).tensor(shape, &(-1.0..1.0)).unwrap(),
        }
    }
}

fn ints(values: &[i64]) -> AttributeValue {
    AttributeValue::Ints(values.to_vec())
}

/// A network of one operator with its input.
struct Case {
    op_type: &'static str,
    x: Vec<usize>,
    constants: Vec<(&'static str, Tensor)>,
    /// Its inputs, where they are more than `x` and the constants in order.
    inputs: Option<&'static [&'static str]>,
    attributes: Vec<(&'static str, AttributeValue)>,
}

fn case(op_type: &'static str, x: &[usize], attributes: &[(&'static str, AttributeValue)]) -> Case {
    Case { op_type, x: x.to_vec(), constants: vec![], inputs: None, attributes: attributes.to_vec() }
}

impl Case {
    fn with(mut self, name: &'static str, constant: Tensor) -> Self {
        self.constants.push((name, constant));
        self
    }

    fn model(&self) -> Model {
        let mut model = ModelBuilder::new(21);
        let usual: Vec<&str> = std::iter::once("x").chain(self.constants.iter().map(|(name, _)| *name)).collect();
        model.input("x", &TensorType::real(self.x.clone()));
        self.constants.iter().for_each(|(name, constant)| _ = model.initializer(name, constant));
        model.node(self.op_type, "node", self.inputs.unwrap_or(&usual), &["y"], &self.attributes).output("y", None);
        Model::from_bytes(self.op_type, model.to_bytes()).unwrap()
    }
}

fn cases() -> Vec<Case> {
    let ones = |shape: &[usize]| Tensor::real(shape, vec![1.0; shape.iter().product()]).unwrap();
    // Factors of one sign, none of which is exact.
    let factors = |shape: &[usize]| Random::new(3).tensor(shape, &(0.9..1.1)).unwrap();
    let (line, image): (&[usize], &[usize]) = (&[2, MANY], &[1, 2, 256, MANY / 256]);
    let axis = |axis: i64| [("axis", AttributeValue::Int(axis))];
    let window = [("kernel_shape", ints(&[256, MANY as i64 / 256]))];
    let reductions = ["ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"];
    let reduction = |op_type| case(op_type, line, &[]).with("axes", Tensor::ints(vec![1]));
    let mut cases: Vec<Case> = reductions.into_iter().map(reduction).collect();
    cases.extend([
        case("Softmax", line, &axis(1)),
        case("Softmax", &[MANY, 2], &axis(0)),
        case("LogSoftmax", line, &axis(1)),
        case("GlobalAveragePool", image, &[]),
        case("GlobalLpPool", image, &[]),
        case("AveragePool", image, &window),
        case("LpPool", image, &window),
        case("AveragePool", &[1, 1, 16, 64, MANY / 1024], &[("kernel_shape", ints(&[16, 64, MANY as i64 / 1024]))]),
        case("Conv", image, &[("group", AttributeValue::Int(2))]).with("w", factors(&[2, 1, 256, MANY / 256])),
        case("Conv", image, &[]).with("w", factors(&[3, 2, 256, MANY / 256])),
        case("Conv", &[1, MANY, 1, 5], &[]).with("w", factors(&[3, MANY, 1, 1])),
        case("Conv", &[1, MANY, 1, 5], &[]).with("w", factors(&[1, MANY, 1, 1])),
        case("ConvTranspose", &[1, MANY, 1, 2], &[]).with("w", factors(&[MANY, 3, 1, 1])),
        case("ConvTranspose", &[1, 1, 1 << 12], &[]).with("w", factors(&[1, 1, 1 << 12])),
        case("MatMul", &[1, MANY], &[]).with("b", factors(&[MANY, 1])),
        case("MatMul", &[3, MANY], &[]).with("b", factors(&[MANY, 1])),
        case("MatMul", &[1, MANY], &[]).with("b", factors(&[MANY, 5])),
        case("MatMul", &[3, MANY], &[]).with("b", factors(&[MANY, 5])),
        case("Gemm", &[MANY, 3], &[("transA", AttributeValue::Int(1)), ("transB", AttributeValue::Int(1))])
            .with("b", factors(&[5, MANY])),
        case("Einsum", &[3, MANY], &[("equation", "ij,jk->ik".into())]).with("b", factors(&[MANY, 5])),
        case("LayerNormalization", line, &axis(1)).with("scale", ones(&[MANY])).with("bias", ones(&[MANY])),
        case("InstanceNormalization", image, &[]).with("scale", ones(&[2])).with("bias", ones(&[2])),
        case("GroupNormalization", image, &[("num_groups", AttributeValue::Int(1))])
            .with("scale", ones(&[2]))
            .with("bias", ones(&[2])),
        case("MeanVarianceNormalization", image, &[]),
        case("LpNormalization", line, &axis(1)),
    ]);
    let antialiased = [("mode", "linear".into()), ("antialias", AttributeValue::Int(1))];
    let mut resize = case("Resize", &[1, 1, 1, MANY], &antialiased).with("sizes", Tensor::ints(vec![1, 1, 1, 3]));
    resize.inputs = Some(&["x", "", "", "sizes"]);
    cases.push(resize);
    cases
}

/// Numbers that a node adds up for one of its results; none where it forms no sums.
fn terms(op: &Op, inputs: &[Option<&Tensor>]) -> Option<usize> {
    let shape = |slot: usize| inputs[slot].unwrap().shape();
    Some(match op {
        Op::Softmax(op) => shape(0)[op.axes.clone()].iter().product(),
        Op::Reduce(op) => shape(0)[op.axes.clone()].iter().product(),
        Op::Normalize(op) => op.row,
        Op::Pool(op) => op.taps(),
        Op::Conv(_) => shape(1)[1..].iter().product(),
        Op::ConvTranspose(op) => shape(1)[0] * shape(1)[2] * shape(1)[3] / op.groups,
        Op::MatMul(op) => shape(0)[shape(0).len() - if op.transpose_a { 2 } else { 1 }],
        Op::Resample(op) => shape(0)[op.axis],
        _ => return None,
    })
}

/// Holds a node's results in f32 against those in f64 of the same inputs.
fn judge(case: &str, node: &Node, inputs: &[Option<&Tensor>], result: &Tensor, seen: &mut BTreeSet<&'static str>) {
    let wide: Vec<Option<Tensor<f64>>> = inputs.iter().map(|input| input.map(Tensor::cast)).collect();
    let wide: Vec<Option<&Tensor<f64>>> = wide.iter().map(Option::as_ref).collect();
    let zeros: Vec<_> = wide.iter().map(|input| input.and_then(|x| x.as_real().ok()).map(|x| x * 0.0)).collect();
    let zeros: Vec<_> = zeros.iter().map(Option::as_ref).collect();
    let exact = node.op.reference(&wide).map_err(|problem| problem.at(case)).unwrap().remove(0);
    let Ok(exact) = exact.as_real() else { return };
    let bound = node.op.error_bound(&wide, &zeros).map_err(|problem| problem.at(case)).unwrap();
    let terms = terms(&node.op, inputs);
    let share = terms.map_or(1.0, |terms| (FEW as f64 / terms as f64).min(1.0));
    if terms.is_some_and(|terms| terms > 2 * FEW) {
        seen.insert(node.op.name());
    }
    for ((&found, &exact), &bound) in result.as_real().unwrap().iter().zip(exact).zip(&bound) {
        let off = (f64::from(found) - exact).abs();
        let of_bound = off / bound;
        assert!(
            off <= share * bound,
            "{case}, {}: {found}, not {exact}, off by {of_bound:e} of the bound",
            node.op.name()
        );
    }
}

#[test]
fn sums_of_many_numbers_are_as_right_as_sums_of_few() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        for numbers in [Numbers::LargeFirst, Numbers::Mixed] {
            for fusion in [Fusion::all(), Fusion::none()] {
                let graph = optimize(case.model().graph(&Bindings::default()).unwrap(), &fusion).unwrap();
                // Exponentials of what is 17 below the largest are as small.
                let is_of_exponentials = ["Softmax", "LogSoftmax", "ReduceLogSumExp"].contains(&case.op_type);
                let pair = if is_of_exponentials { [0.0, -17.0] } else { [1.0, 0.5f32.powi(25)] };
                let x = numbers.of(&case.x, pair);
                let mut known: HashMap<ValueId, Tensor> = HashMap::from([(graph.inputs[0], x)]);
                for (index, value) in graph.values.iter().enumerate() {
                    if let Some(constant) = &value.constant {
                        known.insert(ValueId(index), Tensor::clone(constant));
                    }
                }
                for node in &graph.nodes {
                    let inputs: Vec<_> = node.inputs.iter().map(|input| input.map(|id| &known[&id])).collect();
                    let results = node.op.reference(&inputs).map_err(|problem| problem.at(case.op_type)).unwrap();
                    let name = format!("{} of {:?}, {numbers:?}", case.op_type, case.x);
                    judge(&name, node, &inputs, &results[0], &mut seen);
                    node.outputs.iter().zip(results).for_each(|(&id, result)| _ = known.insert(id, result));
                }
            }
        }
    }
    let all = ["Conv", "ConvTranspose", "MatMul", "Normalize", "Pool", "Reduce", "Resample", "Softmax"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

/// The bound has to be one that a sum from left to right in f32 is out of.
#[test]
fn a_sum_from_left_to_right_is_not_as_right() {
    let numbers = Numbers::LargeFirst.of(&[MANY], [1.0, 0.5f32.powi(25)]);
    let numbers = numbers.as_real().unwrap();
    let exact: f64 = numbers.iter().copied().map(f64::from).sum();
    let off = (f64::from(numbers.iter().fold(0.0f32, |sum, x| sum + x)) - exact).abs();
    assert!(off > 10.0 * gamma(FEW) * exact, "{off}");
}
