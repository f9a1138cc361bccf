//! Detectors with an output of boxes and one of scores: UltraFace, SSD, torchvision's and TensorFlow's; and rows of box,
//! score and class that are already suppressed.

use super::View;
use super::boxes::{Candidate, best};
use super::detect::{Background, Corners, Settings};
use super::rows::{Rows, sigmoid};
use reluctor::tensor::Tensor;

/// No box relative to the picture reaches further than this; one in pixels does.
const LARGEST_RELATIVE: f32 = 4.0;

/// The outputs by what they hold.
struct Parts<'a> {
    boxes: Rows<'a>,
    scores: Rows<'a>,
    /// One class a row, where scores are those of the best class alone.
    classes: Option<Rows<'a>>,
    corners: Corners,
}

/// Boxes and scores; none where no two outputs are such a pair.
pub(super) fn pairs(outputs: &[(String, Tensor)], view: &View, settings: &Settings) -> Option<Vec<Candidate>> {
    let parts = Parts::of(outputs, settings)?;
    let is_relative = parts.boxes.largest(0..4) <= LARGEST_RELATIVE;
    let scores = Scores::of(&parts, settings);
    let candidate = |at: usize| {
        let (class, score) = scores.best(&parts, at)?;
        let row = parts.boxes.row(at);
        Some(Candidate { class, score, bounds: in_pixels(parts.corners, row, is_relative, view) })
    };
    Some((0..parts.boxes.count).filter_map(candidate).collect())
}

impl<'a> Parts<'a> {
    fn of(outputs: &'a [(String, Tensor)], settings: &Settings) -> Option<Self> {
        let is_boxes = |tensor: &Tensor| Rows::of(tensor).is_some_and(|rows| rows.width == 4);
        let is_named = |name: &str| ["box", "loc"].iter().any(|part| name.to_lowercase().contains(part));
        let found = outputs.iter().position(|(name, tensor)| is_boxes(tensor) && is_named(name));
        let at = found.or_else(|| outputs.iter().position(|(_, tensor)| is_boxes(tensor)))?;
        let (name, boxes) = (&outputs[at].0, Rows::of(&outputs[at].1)?);
        let others = || outputs.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, output)| output);
        let fits = |tensor: &'a Tensor| {
            let rows = Rows::of(tensor).filter(|rows| rows.count == boxes.count);
            rows.or_else(|| Rows::column(tensor, boxes.count))
        };
        let called = |part: &str, other: &str| {
            let is_called = move |name: &str| name.to_lowercase().contains(part) || name.to_lowercase().contains(other);
            others().filter(|(name, _)| is_called(name)).find_map(|(_, tensor)| fits(tensor))
        };
        // Classes by their kind or name, one a row; scores by their name, or what is left.
        let classes = called("class", "label").filter(|rows| rows.width == 1);
        let reals = || others().filter(|(_, tensor)| matches!(tensor, Tensor::Real(_)));
        let scores = called("score", "conf").or_else(|| reals().find_map(|(_, tensor)| fits(tensor)))?;
        let classes = classes.filter(|_| scores.width == 1);
        let corners = settings.corners.unwrap_or(match name.contains("detection_boxes") {
            true => Corners::Yxyx,
            false => Corners::Xyxy,
        });
        Some(Parts { boxes, scores, classes, corners })
    }
}

/// How a row of scores is read.
struct Scores {
    background: Option<usize>,
    are_logits: bool,
}

impl Scores {
    fn of(parts: &Parts<'_>, settings: &Settings) -> Self {
        let scores = &parts.scores;
        let are_logits = !scores.are_probabilities(0..scores.width);
        let sums_to_one = |at: usize| (scores.row(at).iter().sum::<f32>() - 1.0).abs() < 1e-2;
        let background = match settings.background {
            Background::Class(class) => Some(class),
            Background::None => None,
            // A softmax over classes has one for nothing, the first by custom.
            Background::Auto => (scores.width > 1 && !are_logits && (0..scores.count).all(sums_to_one)).then_some(0),
        };
        Scores { background, are_logits }
    }

    /// The best class of a row that is not the background; with a background, classes count without it.
    fn best(&self, parts: &Parts<'_>, at: usize) -> Option<(usize, f32)> {
        let row = parts.scores.row(at);
        if let Some(classes) = &parts.classes {
            return Some((classes.row(at)[0].max(0.0) as usize, row[0]));
        }
        let probability = |x: f32| match (self.are_logits, self.background) {
            (false, _) => x,
            (true, None) => sigmoid(x),
            (true, Some(_)) => {
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                (x - largest).exp() / row.iter().map(|x| (x - largest).exp()).sum::<f32>()
            }
        };
        let kept = row.iter().enumerate().filter(|(class, _)| Some(*class) != self.background);
        best(kept.map(|(_, &x)| probability(x)))
    }
}

/// Left, top, right, bottom in the network's pixels.
fn in_pixels(corners: Corners, row: &[f32], is_relative: bool, view: &View) -> [f32; 4] {
    let [w, h] = if is_relative { view.network.map(|side| side as f32) } else { [1.0; 2] };
    let [a, b, c, d] = match corners {
        Corners::Xyxy => [row[0], row[1], row[2], row[3]],
        Corners::Yxyx => [row[1], row[0], row[3], row[2]],
        Corners::Xywh => [row[0], row[1], row[0] + row[2], row[1] + row[3]],
        Corners::Cxcywh => {
            let [x, y, w, h] = [row[0], row[1], row[2] / 2.0, row[3] / 2.0];
            [x - w, y - h, x + w, y + h]
        }
    };
    [a * w, b * h, c * w, d * h]
}

/// Rows of left, top, right, bottom, score and class, as networks that suppress by themselves give them.
pub(super) fn finished(rows: &Rows<'_>, view: &View, settings: &Settings) -> Vec<Candidate> {
    let is_relative = rows.largest(0..4) <= LARGEST_RELATIVE;
    let corners = settings.corners.unwrap_or(Corners::Xyxy);
    let candidate = |at: usize| {
        let row = rows.row(at);
        let class = row[5].max(0.0) as usize;
        Candidate { class, score: row[4], bounds: in_pixels(corners, row, is_relative, view) }
    };
    (0..rows.count).map(candidate).collect()
}
