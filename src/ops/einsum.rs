//! Einstein's sums: transpositions, sums, and for each further operand one product of matrices. Source: ONNX, operator
//! Einsum, and numpy's definition of it.

use super::{Gather, MatMul, OpResult, Problem, Reduce, ReduceKind, Reshape, Transpose, invalid, unsupported};
use crate::graph::ValueId;
use crate::onnx::OnnxNode;
use crate::tensor::Tensor;
use std::collections::HashMap;

/// A dimension's name: a letter, or one of those that an ellipsis stands for.
type Label = char;

/// What the dimensions of an ellipsis are called, the last one first.
const ELLIPSIS: u32 = 0xe000;

/// An operand, and what its dimensions are called.
struct Term {
    value: ValueId,
    labels: Vec<Label>,
}

/// Labels by what becomes of them in a product: in both operands and kept, in both and summed, in one alone.
struct Roles {
    batch: Vec<Label>,
    summed: Vec<Label>,
    rows: Vec<Label>,
    columns: Vec<Label>,
}

pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let equation: String = node.string("equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let names: Vec<&str> = left.split(',').collect();
    if names.len() != node.input_count() {
        return invalid(format!("'{equation}' names {} operands of {}", names.len(), node.input_count()));
    }
    let mut sizes = HashMap::new();
    let terms = names.iter().enumerate().map(|(slot, name)| term(node, slot, name, &mut sizes));
    let terms = terms.collect::<OpResult<Vec<Term>>>()?;
    let wanted = wanted(&terms, left, right)?;
    if let Some(unknown) = wanted.iter().find(|label| !sizes.contains_key(label)) {
        return invalid(format!("'{unknown}' is in no operand"));
    }
    let mut terms = terms.into_iter();
    let Some(mut sum) = terms.next() else { return invalid("there is no operand") };
    while let Some(next) = terms.next() {
        let later = |label: &Label| wanted.contains(label) || terms.as_slice().iter().any(|t| t.labels.contains(label));
        sum = product(node, sum, next, &later, &sizes)?;
    }
    let sum = without(node, sum, |label| !wanted.contains(&label), &sizes)?;
    let permutation = places(&sum.labels, &wanted)?;
    node.finish_with(Transpose { permutation }, &[Some(sum.value)])
}

/// An operand's labels, with the sizes that they have.
fn term(node: &mut OnnxNode<'_>, slot: usize, name: &str, sizes: &mut HashMap<Label, usize>) -> OpResult<Term> {
    let value = node.input(slot)?;
    let shape = node.type_of(value).shape.clone();
    let letters = name.chars().filter(char::is_ascii_alphabetic).count();
    let labels = expanded(name, shape.len().saturating_sub(letters))?;
    if labels.len() != shape.len() {
        return invalid(format!("'{name}' names {} dimensions of {}", labels.len(), shape.len()));
    }
    for (&label, &size) in labels.iter().zip(&shape) {
        if *sizes.entry(label).or_insert(size) != size {
            return unsupported(format!("a dimension of '{name}' has another size than elsewhere"));
        }
    }
    let mut term = Term { value, labels };
    while let Some(again) = repeated(&term.labels) {
        term = diagonal(node, term, again, sizes)?;
    }
    Ok(term)
}

/// Where a label stands that stood before.
fn repeated(labels: &[Label]) -> Option<[usize; 2]> {
    let before = |at: usize| labels[..at].iter().position(|label| *label == labels[at]);
    (0..labels.len()).find_map(|at| Some([before(at)?, at]))
}

/// A term's elements that have the same place in two dimensions, which become one, the last.
fn diagonal(
    node: &mut OnnxNode<'_>,
    term: Term,
    [one, other]: [usize; 2],
    sizes: &HashMap<Label, usize>,
) -> OpResult<Term> {
    let rest: Vec<usize> = (0..term.labels.len()).filter(|at| ![one, other].contains(at)).collect();
    let size = sizes[&term.labels[one]];
    let permutation = [&rest[..], &[one, other]].concat();
    let moved = node.emit(Transpose { permutation }, &[Some(term.value)])?;
    let mut shape: Vec<usize> = rest.iter().map(|&at| sizes[&term.labels[at]]).collect();
    let axis = shape.len();
    shape.push(size.checked_mul(size).ok_or_else(|| Problem::Invalid("a dimension is too large".to_string()))?);
    let flat = node.emit(Reshape { shape }, &[Some(moved)])?;
    let places = (0..size as i64).map(|at| at * (size as i64 + 1)).collect();
    let places = node.constant_of(Tensor::ints(places));
    let value = node.emit(Gather { axis }, &[Some(flat), Some(places)])?;
    let labels = rest.iter().chain([&one]).map(|&at| term.labels[at]).collect();
    Ok(Term { value, labels })
}

/// Letters, and labels of their own for an ellipsis of `many` dimensions.
fn expanded(name: &str, many: usize) -> OpResult<Vec<Label>> {
    let (before, after) = name.split_once("...").unwrap_or((name, ""));
    let hidden = if name.contains("...") { many } else { 0 };
    let hidden = (0..hidden).rev().filter_map(|at| char::from_u32(ELLIPSIS + at as u32));
    let labels: Vec<Label> = before.chars().chain(hidden).chain(after.chars()).collect();
    match labels.iter().find(|&&label| !label.is_ascii_alphabetic() && (label as u32) < ELLIPSIS) {
        Some(other) => invalid(format!("'{other}' in '{name}' is no letter")),
        None => Ok(labels),
    }
}

/// What the result's dimensions are called: as it is written, or all that are written once, in the order of the alphabet.
fn wanted(terms: &[Term], left: &str, right: Option<&str>) -> OpResult<Vec<Label>> {
    let all = || terms.iter().flat_map(|term| term.labels.iter().copied());
    let is_hidden = |label: &Label| *label as u32 >= ELLIPSIS;
    let mut hidden: Vec<Label> = all().filter(is_hidden).collect();
    hidden.sort_unstable_by(|a, b| b.cmp(a));
    hidden.dedup();
    match right {
        Some(right) => expanded(right, hidden.len()),
        None => {
            let mut once: Vec<Label> = all().filter(|label| left.matches(*label).count() == 1).collect();
            once.sort_unstable();
            Ok([hidden, once].concat())
        }
    }
}

/// `a` times `b`, summed over what both have and nobody needs later.
fn product(
    node: &mut OnnxNode<'_>,
    a: Term,
    b: Term,
    later: &dyn Fn(&Label) -> bool,
    sizes: &HashMap<Label, usize>,
) -> OpResult<Term> {
    let (in_a, in_b) = (a.labels.clone(), b.labels.clone());
    let a = without(node, a, |label| !in_b.contains(&label) && !later(&label), sizes)?;
    let b = without(node, b, |label| !in_a.contains(&label) && !later(&label), sizes)?;
    let shared = |label: &Label| b.labels.contains(label);
    let of_a = |keep: &dyn Fn(&Label) -> bool| a.labels.iter().copied().filter(|label| keep(label)).collect();
    let roles = Roles {
        batch: of_a(&|label| shared(label) && later(label)),
        summed: of_a(&|label| shared(label) && !later(label)),
        rows: of_a(&|label| !shared(label)),
        columns: b.labels.iter().copied().filter(|label| !a.labels.contains(label)).collect(),
    };
    let left = matrix(node, &a, [&roles.batch, &roles.rows, &roles.summed], sizes)?;
    let right = matrix(node, &b, [&roles.batch, &roles.summed, &roles.columns], sizes)?;
    let value = node.emit(MatMul::plain(), &[Some(left), Some(right)])?;
    let labels = [roles.batch, roles.rows, roles.columns].concat();
    let shape = labels.iter().map(|label| sizes[label]).collect();
    Ok(Term { value: node.emit(Reshape { shape }, &[Some(value)])?, labels })
}

/// A term as matrices `[batch, rows, columns]`, each of these any number of dimensions.
fn matrix(
    node: &mut OnnxNode<'_>,
    term: &Term,
    parts: [&Vec<Label>; 3],
    sizes: &HashMap<Label, usize>,
) -> OpResult<ValueId> {
    let order = parts.map(Clone::clone).concat();
    let permutation = places(&term.labels, &order)?;
    let moved = node.emit(Transpose { permutation }, &[Some(term.value)])?;
    let shape = parts.map(|labels| labels.iter().map(|label| sizes[label]).product()).to_vec();
    node.emit(Reshape { shape }, &[Some(moved)])
}

/// A term summed over the labels that nobody needs.
fn without(
    node: &mut OnnxNode<'_>,
    term: Term,
    unneeded: impl Fn(Label) -> bool,
    sizes: &HashMap<Label, usize>,
) -> OpResult<Term> {
    let axes: Vec<usize> = (0..term.labels.len()).filter(|&axis| unneeded(term.labels[axis])).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    let value = Reduce::emit_over(node, ReduceKind::Sum, term.value, &axes)?;
    let labels: Vec<Label> = term.labels.into_iter().filter(|&label| !unneeded(label)).collect();
    let shape = labels.iter().map(|label| sizes[label]).collect();
    Ok(Term { value: node.emit(Reshape { shape }, &[Some(value)])?, labels })
}

/// Where each of the labels in the new order lies in the old one.
fn places(from: &[Label], to: &[Label]) -> OpResult<Vec<usize>> {
    let place = |label: &Label| {
        let found = from.iter().position(|known| known == label);
        found.ok_or_else(|| Problem::Invalid(format!("'{label}' is not left to be a dimension of the result")))
    };
    to.iter().map(place).collect()
}
