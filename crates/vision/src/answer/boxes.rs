//! Boxes, and the suppression of those that say the same.

use super::View;
use serde::Serialize;

/// Boxes that are looked at, the best ones first: suppression takes the square of their number.
const MOST_CANDIDATES: usize = 4096;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// The class's index.
    pub class: usize,
    /// Its name, where it is known.
    pub label: Option<String>,
    /// How sure the network is, 0 to 1.
    pub score: f32,
    /// Left, top, right, bottom in the picture's pixels, within the picture.
    pub bounds: [f32; 4],
}

/// A box in the network's own pixels, as left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub class: usize,
    pub score: f32,
    pub bounds: [f32; 4],
}

impl Candidate {
    /// From its centre, width and height.
    pub fn centred(class: usize, score: f32, [x, y, w, h]: [f32; 4]) -> Self {
        Candidate { class, score, bounds: [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0] }
    }
}

/// The best class of a row of scores and its score; none where there is none.
pub(super) fn best(scores: impl Iterator<Item = f32>) -> Option<(usize, f32)> {
    scores.enumerate().filter(|(_, score)| !score.is_nan()).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
}

/// What two boxes share of what they cover together, 0 to 1 (intersection over union).
pub fn intersection_over_union(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |[left, top, right, bottom]: [f32; 4]| (right - left).max(0.0) * (bottom - top).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let together = area(a) + area(b) - shared;
    if together > 0.0 { shared / together } else { 0.0 }
}

/// Greedy non-maximum suppression within each class: the best first, without those that share more than `iou` with a
/// better one; at most `most` of them.
pub fn suppressed(mut found: Vec<Detection>, iou: f32, most: usize) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MOST_CANDIDATES);
    let mut kept: Vec<Detection> = Vec::new();
    for next in found {
        let same =
            |other: &Detection| other.class == next.class && intersection_over_union(other.bounds, next.bounds) > iou;
        if kept.len() < most && !kept.iter().any(same) {
            kept.push(next);
        }
    }
    kept
}

/// On the picture, cut to it; none where nothing of it is left.
pub(super) fn on_picture(candidate: Candidate, view: &View) -> Option<Detection> {
    let Candidate { class, score, bounds: [left, top, right, bottom] } = candidate;
    let corner = |x: f32, y: f32| {
        let at = view.placement.to_picture([x.into(), y.into()]);
        [0, 1].map(|axis| at[axis].clamp(0.0, view.picture[axis].into()) as f32)
    };
    let ([left, top], [right, bottom]) = (corner(left, top), corner(right, bottom));
    let is_box = right > left && bottom > top;
    is_box.then_some(Detection { class, label: None, score, bounds: [left, top, right, bottom] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: usize, score: f32, bounds: [f32; 4]) -> Detection {
        Detection { class, label: None, score, bounds }
    }

    #[test]
    fn overlap_is_what_both_share_of_what_they_cover() {
        assert_eq!(intersection_over_union([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]), 2.0 / 6.0);
        assert_eq!(intersection_over_union([0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0]), 0.0);
        assert_eq!(intersection_over_union([1.0; 4], [1.0; 4]), 0.0);
    }

    #[test]
    fn only_weaker_boxes_of_the_same_class_are_suppressed() {
        let boxes = vec![
            found(0, 0.5, [0.0, 0.0, 10.0, 10.0]),
            found(0, 0.9, [1.0, 0.0, 11.0, 10.0]),
            found(1, 0.4, [1.0, 0.0, 11.0, 10.0]),
            found(0, 0.3, [50.0, 0.0, 60.0, 10.0]),
        ];
        let kept =
            |iou, most| -> Vec<f32> { suppressed(boxes.clone(), iou, most).iter().map(|found| found.score).collect() };
        assert_eq!(kept(0.5, 100), [0.9, 0.4, 0.3]);
        assert_eq!(kept(0.9, 100), [0.9, 0.5, 0.4, 0.3]);
        assert_eq!(kept(0.9, 2), [0.9, 0.5]);
    }
}
