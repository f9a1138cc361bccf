//! From a segmenter's output to a class for each pixel.

use super::View;
use reluctor::error::{Error, Result, escape};
use reluctor::tensor::{Tensor, format_shape};
use serde::Serialize;

/// The class of each of the output's pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions {
    width: usize,
    height: usize,
    classes: Vec<u32>,
}

/// How much of the picture a class covers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// The class's index.
    pub class: usize,
    /// Its name, where it is known.
    pub label: Option<String>,
    /// Its share of what the network saw, 0 to 1.
    pub share: f64,
}

impl Regions {
    /// Of the first output that has scores `[1, classes, h, w]` or `[1, h, w, classes]`, of which the highest wins; or one
    /// number for each pixel: a class where all are whole, else whether it exceeds one half (0, where it may be negative).
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such output.
    pub fn of(outputs: &[(String, Tensor)]) -> Result<Self> {
        let found = outputs.iter().find_map(|(_, tensor)| Regions::from_output(tensor));
        found.ok_or_else(|| {
            let shapes =
                outputs.iter().map(|(name, tensor)| format!("{} {}", escape(name), format_shape(tensor.shape())));
            let shapes = shapes.take(16).collect::<Vec<_>>().join(", ");
            Error::Usage(format!("no output has a class or scores for each pixel ({shapes})"))
        })
    }

    fn from_output(output: &Tensor) -> Option<Self> {
        let (height, width, channels, is_last) = match *output.shape() {
            [1, h, w] => (h, w, 1, false),
            [1, 1, h, w] => (h, w, 1, false),
            // The classes are fewer than a picture's rows and columns.
            [1, h, w, c] if c < h && c < w => (h, w, c, true),
            [1, c, h, w] => (h, w, c, false),
            _ => return None,
        };
        let pixels = height * width;
        if pixels <= 1 {
            return None;
        }
        let classes = match output {
            Tensor::Int(array) if channels == 1 => array.iter().map(|&class| class.max(0) as u32).collect(),
            Tensor::Bool(array) if channels == 1 => array.iter().map(|&is| u32::from(is)).collect(),
            Tensor::Real(array) if channels == 1 => one_number(&array.iter().copied().collect::<Vec<f32>>()),
            Tensor::Real(array) => {
                let numbers: Vec<f32> = array.iter().copied().collect();
                let [pixel, class] = if is_last { [channels, 1] } else { [1, pixels] };
                let score = |at: usize, of: usize| numbers[at * pixel + of * class];
                let better = |at: usize| move |a: usize, b: usize| if score(at, b) > score(at, a) { b } else { a };
                (0..pixels).map(|at| (0..channels).reduce(better(at)).unwrap_or(0) as u32).collect()
            }
            _ => return None,
        };
        Some(Regions { width, height, classes })
    }

    /// The class at a place of the picture; none where the network did not see it.
    pub fn at(&self, x: u32, y: u32, view: &View) -> Option<u32> {
        let place = view.placement.to_network([f64::from(x) + 0.5, f64::from(y) + 0.5]);
        let sides = [self.width, self.height];
        let cell = |axis: usize| {
            let at = (place[axis] * sides[axis] as f64 / f64::from(view.network[axis])).floor();
            (at >= 0.0 && at < sides[axis] as f64).then_some(at as usize)
        };
        Some(self.classes[cell(1)? * self.width + cell(0)?])
    }

    /// The classes by how much of the output each covers, the largest first.
    pub fn shares(&self, labels: Option<&[String]>) -> Vec<Region> {
        let mut counts = std::collections::BTreeMap::<u32, usize>::new();
        self.classes.iter().for_each(|&class| *counts.entry(class).or_default() += 1);
        let region = |(class, count): (u32, usize)| Region {
            class: class as usize,
            label: labels.and_then(|labels| labels.get(class as usize).cloned()),
            share: count as f64 / self.classes.len() as f64,
        };
        let mut regions: Vec<Region> = counts.into_iter().map(region).collect();
        regions.sort_by(|a, b| b.share.total_cmp(&a.share));
        regions
    }
}

/// Whole numbers beyond 0 and 1 are classes, others probabilities or logits of being there.
fn one_number(numbers: &[f32]) -> Vec<u32> {
    let are_classes = numbers.iter().all(|x| x.fract() == 0.0 && (0.0..65_536.0).contains(x));
    let are_logits = numbers.iter().any(|&x| !(-1e-3..=1.001).contains(&x));
    let class = |&x: &f32| match (are_classes, are_logits) {
        (true, _) => x as u32,
        (false, true) => u32::from(x > 0.0),
        (false, false) => u32::from(x > 0.5),
    };
    numbers.iter().map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(shape: &[usize], numbers: &[f32]) -> Vec<u32> {
        Regions::of(&[("y".to_string(), Tensor::real(shape, numbers.to_vec()).unwrap())]).unwrap().classes
    }

    #[test]
    fn the_highest_score_of_a_pixel_wins_in_either_layout() {
        assert_eq!(classes(&[1, 3, 1, 2], &[0.0, 5.0, 1.0, 0.0, 0.5, 1.0]), [1, 0]);
        let last = [0.0, 1.0, 5.0, 0.0, 0.0, 1.0, 1.0, 0.0, 9.0, 8.0, 0.0, 7.0, 0.0, 1.0, 2.0, 1.0, 2.0, 1.0];
        assert_eq!(classes(&[1, 3, 3, 2], &last), [1, 0, 1, 0, 0, 1, 1, 0, 0].map(|x: u32| x));
    }

    #[test]
    fn one_number_a_pixel_is_a_class_a_probability_or_a_logit() {
        assert_eq!(classes(&[1, 1, 1, 3], &[0.0, 2.0, 7.0]), [0, 2, 7]);
        assert_eq!(classes(&[1, 1, 3], &[0.2, 0.9, 0.5]), [0, 1, 0]);
        assert_eq!(classes(&[1, 1, 3], &[-3.0, 0.4, 2.5]), [0, 1, 1]);
    }

    #[test]
    fn what_has_no_pixels_is_refused() {
        let output = [("y".to_string(), Tensor::real(&[1, 1000], vec![0.0; 1000]).unwrap())];
        assert!(matches!(Regions::of(&output), Err(Error::Usage(_))));
    }
}
