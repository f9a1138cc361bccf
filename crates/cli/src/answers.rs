//! What a network's outputs say: the top classes of a classifier, the range of anything else.

use ndarray::{ArrayView1, ArrayView2};
use reluctor::error::{Error, Result, escape};
use reluctor::files;
use reluctor::tensor::{Tensor, row_major_slice};
use serde::Serialize;
use std::path::Path;

/// Elements that a summary shows.
const SHOWN: usize = 6;

/// How a classifier's outputs are read.
pub struct Reading {
    /// The classes' names.
    pub labels: Option<Vec<String>>,
    /// How many classes to show.
    pub top_k: usize,
    /// Whether scores are turned into probabilities.
    pub softmax: bool,
    /// Whether no output is taken for a classifier's.
    pub raw: bool,
}

/// A class and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    pub index: usize,
    pub label: Option<String>,
    pub score: f32,
}

/// The range of a tensor of reals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub min: f32,
    pub max: f32,
    pub mean: f64,
    pub first: Vec<f32>,
}

/// Of the file of the classes' names: those of the largest data sets take a hundredth of it.
const MOST_LABEL_BYTES: u64 = 16 << 20;

/// What some editors begin a file with; it is no part of the first name.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads one class name a line.
pub fn read_labels(path: &Path) -> Result<Vec<String>> {
    let bytes = files::read_up_to(path, MOST_LABEL_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(path.display(), "is not UTF-8"))?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    Ok(text.lines().map(|line| line.trim().to_string()).collect())
}

impl Reading {
    /// For each output, its scores as `[items, classes]`, or none where it is no classifier's. Without labels to tell,
    /// only a network's single output is taken for one.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are labels, but no output has as many classes.
    pub fn scores<'a>(&self, outputs: &'a [(String, Tensor)]) -> Result<Vec<Option<ArrayView2<'a, f32>>>> {
        if self.raw {
            return Ok(vec![None; outputs.len()]);
        }
        let scores: Vec<_> = outputs.iter().map(|(_, output)| scores(output)).collect();
        let Some(labels) = &self.labels else {
            return Ok(if outputs.len() == 1 { scores } else { vec![None; outputs.len()] });
        };
        let fitting: Vec<_> = scores.iter().map(|scores| scores.filter(|s| s.ncols() == labels.len())).collect();
        if fitting.iter().any(Option::is_some) {
            return Ok(fitting);
        }
        let classes: Vec<String> = scores.iter().flatten().map(|scores| scores.ncols().to_string()).collect();
        let found = if classes.is_empty() { "none is a classifier's".to_string() } else { classes.join(", ") };
        Err(Error::Usage(format!("there are {} labels, but no output has as many classes ({found})", labels.len())))
    }

    /// The classes with the highest scores, highest first; NaN counts as highest, so that it shows.
    pub fn top(&self, scores: ArrayView1<'_, f32>) -> Vec<Ranked> {
        let scores = if self.softmax { softmax(scores) } else { scores.to_vec() };
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| rank(scores[b]).total_cmp(&rank(scores[a])));
        let label = |index: usize| self.labels.as_ref().and_then(|labels| labels.get(index).cloned());
        let ranked = |&index: &usize| Ranked { index, label: label(index), score: scores[index] };
        order.iter().take(self.top_k).map(ranked).collect()
    }
}

/// How many items have their highest score at their label.
pub fn correct(scores: ArrayView2<'_, f32>, labels: &[i64]) -> usize {
    let best = |row: ArrayView1<'_, f32>| {
        let better = |best: usize, at: usize| if rank(row[at]) > rank(row[best]) { at } else { best };
        (0..row.len()).reduce(better)
    };
    let hits = scores.rows().into_iter().zip(labels);
    hits.filter(|(row, label)| best(*row).is_some_and(|best| usize::try_from(**label) == Ok(best))).count()
}

/// A NaN of either sign above everything.
fn rank(score: f32) -> f32 {
    if score.is_nan() { f32::INFINITY } else { score }
}

/// `[n, classes]`, or `[n, classes, 1, 1]` as fully convolutional classifiers give it.
fn scores(output: &Tensor) -> Option<ArrayView2<'_, f32>> {
    let Tensor::Real(array) = output else { return None };
    match *array.shape() {
        [items, classes] | [items, classes, 1, 1] if classes > 1 => {
            array.view().into_shape_with_order((items, classes)).ok()
        }
        _ => None,
    }
}

fn softmax(scores: ArrayView1<'_, f32>) -> Vec<f32> {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores.iter().map(|&score| f64::from(score - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

/// The range of an output; none where it holds no reals or nothing.
pub fn summary(output: &Tensor) -> Option<Summary> {
    let Tensor::Real(array) = output else { return None };
    let elements = row_major_slice(array);
    let first = elements.first()?;
    let (min, max, sum) = elements.iter().fold((*first, *first, 0.0), |(min, max, sum), &x| {
        // Unlike f32::min and max, these keep a NaN.
        let min = if x < min || x.is_nan() { x } else { min };
        let max = if x > max || x.is_nan() { x } else { max };
        (min, max, sum + f64::from(x))
    });
    let first = elements.iter().take(SHOWN).copied().collect();
    Some(Summary { min, max, mean: sum / elements.len() as f64, first })
}

/// An output in one line: its range, or its first elements where it holds no reals.
pub fn describe(output: &Tensor) -> String {
    match output {
        _ if output.is_empty() => "empty".to_string(),
        Tensor::Real(_) => summary(output).map(|summary| summary.to_string()).unwrap_or_default(),
        Tensor::Int(array) => format!("integers {}", first(array.iter())),
        Tensor::Bool(array) => format!("booleans {}", first(array.iter())),
    }
}

fn first(elements: impl ExactSizeIterator<Item: std::fmt::Display>) -> String {
    let rest = if elements.len() > SHOWN { " ..." } else { "" };
    elements.take(SHOWN).map(|x| x.to_string()).collect::<Vec<_>>().join(" ") + rest
}

impl std::fmt::Display for Ranked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let label = self.label.as_ref().map_or_else(|| format!("class {}", self.index), |label| escape(label));
        write!(f, "{:>10.4}  {label}", self.score)
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first: Vec<String> = self.first.iter().map(|x| format!("{x:.5}")).collect();
        write!(f, "min {:.5}, max {:.5}, mean {:.5}, first {}", self.min, self.max, self.mean, first.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(shape: &[usize], data: &[f32]) -> (String, Tensor) {
        ("y".to_string(), Tensor::real(shape, data.to_vec()).unwrap())
    }

    fn reading(labels: Option<&[&str]>) -> Reading {
        let labels = labels.map(|labels| labels.iter().map(|label| label.to_string()).collect());
        Reading { labels, top_k: 2, softmax: true, raw: false }
    }

    #[test]
    fn the_top_classes_come_highest_first_as_probabilities() {
        let outputs = [output(&[1, 3, 1, 1], &[0.0, 2.0f32.ln(), 0.0])];
        let scores = reading(Some(&["a", "b", "c"])).scores(&outputs).unwrap();
        let top = reading(Some(&["a", "b", "c"])).top(scores[0].unwrap().row(0));
        assert_eq!(top.iter().map(|ranked| ranked.label.as_deref()).collect::<Vec<_>>(), [Some("b"), Some("a")]);
        assert!((top[0].score - 0.5).abs() < 1e-6 && (top[1].score - 0.25).abs() < 1e-6);
    }

    #[test]
    fn labels_pick_the_output_that_has_as_many_classes() {
        let outputs = [output(&[1, 4], &[0.0; 4]), output(&[1, 2], &[0.0; 2])];
        let fits: Vec<bool> =
            reading(Some(&["a", "b"])).scores(&outputs).unwrap().iter().map(Option::is_some).collect();
        assert_eq!(fits, [false, true]);
        assert!(reading(Some(&["a", "b", "c"])).scores(&outputs).is_err());
        assert!(reading(None).scores(&outputs).unwrap().iter().all(Option::is_none));
    }

    #[test]
    fn a_label_that_is_not_the_best_class_is_not_counted() {
        let (_, scores_of) = output(&[3, 2], &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(correct(scores(&scores_of).unwrap(), &[0, 1, 1]), 2);
        assert_eq!(correct(scores(&scores_of).unwrap(), &[-1, 7, 0]), 0);
    }

    #[test]
    fn what_holds_no_reals_shows_its_first_elements() {
        assert_eq!(describe(&Tensor::ints(vec![3, -1])), "integers 3 -1");
        assert_eq!(describe(&Tensor::ints((0..9).collect())), "integers 0 1 2 3 4 5 ...");
        assert_eq!(describe(&Tensor::ints(vec![])), "empty");
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let summary = summary(&output(&[3], &[1.0, f32::NAN, 2.0]).1).unwrap();
        assert!(summary.min.is_nan() && summary.max.is_nan() && summary.mean.is_nan());
        assert_eq!(reading(None).top(ndarray::arr1(&[1.0, f32::NAN]).view()).len(), 2);
    }
}
