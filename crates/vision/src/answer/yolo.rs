//! Detectors that predict at each cell of a grid: YOLOX, YOLOv5 and v7, YOLOv8 and later, FastestDet, YuNet.

use super::View;
use super::boxes::{Candidate, best};
use super::rows::{Rows, sigmoid};
use reluctor::tensor::Tensor;

/// The grids' strides, in the network's pixels: usual, and with a coarser level.
const STRIDES: [&[u32]; 2] = [&[8, 16, 32], &[8, 16, 32, 64]];

/// No width or height of a raw prediction, which is a logarithm in strides, reaches this; one in pixels does.
const LARGEST_LOGARITHM: f32 = 16.0;

/// A cell: its column, its row, and its size in pixels.
type Cell = [f32; 3];

/// The cells of all grids, row by row, the finest grid first.
fn cells(view: &View, strides: &[u32]) -> Vec<Cell> {
    let grid = |&stride: &u32| {
        let [width, height] = view.network.map(|side| side.div_ceil(stride));
        (0..height).flat_map(move |y| (0..width).map(move |x| [x as f32, y as f32, stride as f32]))
    };
    strides.iter().flat_map(grid).collect()
}

/// The cells of which an output has one row each, or `anchors` rows each.
pub(super) fn cells_of(view: &View, rows: usize, anchors: usize) -> Option<Vec<Cell>> {
    let fits = |strides: &&[u32]| {
        let count: u64 = strides.iter().map(|&stride| grid_size(view, stride)).sum();
        count * anchors as u64 == rows as u64
    };
    STRIDES.iter().copied().find(fits).map(|strides| cells(view, strides))
}

fn grid_size(view: &View, stride: u32) -> u64 {
    view.network.map(|side| u64::from(side.div_ceil(stride))).iter().product()
}

/// YOLOX: rows of centre, size, objectness and class scores, one a cell; offsets and logarithms in strides, unless the
/// file already has them in pixels (Ge et al., YOLOX: Exceeding YOLO Series in 2021, and its `demo_postprocess`).
pub(super) fn yolox(rows: &Rows<'_>, cells: &[Cell]) -> Vec<Candidate> {
    let is_decoded = rows.largest(2..4) > LARGEST_LOGARITHM;
    let place = |row: &[f32], [x, y, stride]: Cell| match is_decoded {
        true => [row[0], row[1], row[2], row[3]],
        false => [(row[0] + x) * stride, (row[1] + y) * stride, row[2].exp() * stride, row[3].exp() * stride],
    };
    with_objectness(rows, |at, row| place(row, cells[at]))
}

/// YOLOv5 and v7: the same rows in pixels.
pub(super) fn yolov5(rows: &Rows<'_>) -> Vec<Candidate> {
    with_objectness(rows, |_, row| [row[0], row[1], row[2], row[3]])
}

/// A row's score is its objectness times that of its best class.
fn with_objectness(rows: &Rows<'_>, place: impl Fn(usize, &[f32]) -> [f32; 4]) -> Vec<Candidate> {
    let probability = probability(rows.are_probabilities(4..rows.width));
    let candidate = |at: usize| {
        let row = rows.row(at);
        let (class, score) = best(row[5..].iter().copied()).unwrap_or((0, f32::INFINITY));
        let of_class = if row.len() > 5 { probability(score) } else { 1.0 };
        Candidate::centred(class, probability(row[4]) * of_class, place(at, row))
    };
    (0..rows.count).map(candidate).collect()
}

/// YOLOv8 and later: rows of centre, size and class scores, in pixels.
pub(super) fn yolov8(rows: &Rows<'_>) -> Vec<Candidate> {
    let probability = probability(rows.are_probabilities(4..rows.width));
    let candidate = |at: usize| {
        let row = rows.row(at);
        let (class, score) = best(row[4..].iter().copied())?;
        Some(Candidate::centred(class, probability(score), [row[0], row[1], row[2], row[3]]))
    };
    (0..rows.count).filter_map(candidate).collect()
}

fn probability(is_one: bool) -> impl Fn(f32) -> f32 {
    move |x| if is_one { x } else { sigmoid(x) }
}

/// FastestDet: one grid `[1, 5 + classes, h, w]` of objectness, offset, size and class scores (`handle_preds` of its
/// repository).
pub(super) fn fastest_det(output: &Tensor, view: &View) -> Option<Vec<Candidate>> {
    let &[_, channels, height, width] = output.shape() else { return None };
    if channels < 6 {
        return None;
    }
    let array = output.as_real().ok()?;
    let numbers: Vec<f32> = array.iter().copied().collect();
    let at = |channel: usize, cell: usize| numbers[channel * height * width + cell];
    let [w, h] = view.network.map(|side| side as f32);
    let candidate = |cell: usize| {
        let (class, score) = best((5..channels).map(|channel| at(channel, cell)))?;
        let x = (at(1, cell).tanh() + (cell % width) as f32) / width as f32;
        let y = (at(2, cell).tanh() + (cell / width) as f32) / height as f32;
        let place = [x * w, y * h, sigmoid(at(3, cell)) * w, sigmoid(at(4, cell)) * h];
        Some(Candidate::centred(class, at(0, cell).max(0.0).powf(0.6) * score.max(0.0).powf(0.4), place))
    };
    Some((0..height * width).filter_map(candidate).collect())
}

/// YuNet: for each stride an output of classes, one of objectness and one of boxes, called `cls_8`, `obj_8`, `bbox_8` and so
/// on; none where these are not there.
pub(super) fn yunet(outputs: &[(String, Tensor)], view: &View) -> Option<Vec<Candidate>> {
    let rows = |name: String| {
        let output = outputs.iter().find(|(known, _)| *known == name);
        output.and_then(|(_, tensor)| Rows::of(tensor))
    };
    let mut found = Vec::new();
    for stride in STRIDES[0] {
        let [classes, objects, boxes] = ["cls", "obj", "bbox"].map(|kind| rows(format!("{kind}_{stride}")));
        let (classes, objects, boxes) = (classes?, objects?, boxes?);
        let cells = cells(view, &[*stride]);
        if [classes.count, objects.count, boxes.count] != [cells.len(); 3] || boxes.width != 4 {
            return None;
        }
        for (at, [x, y, stride]) in cells.into_iter().enumerate() {
            let Some((class, score)) = best(classes.row(at).iter().copied()) else { continue };
            let score = (score.clamp(0.0, 1.0) * objects.row(at)[0].clamp(0.0, 1.0)).sqrt();
            let row = boxes.row(at);
            let size = [row[2].exp() * stride, row[3].exp() * stride];
            let place = [(row[0] + x) * stride, (row[1] + y) * stride, size[0], size[1]];
            found.push(Candidate::centred(class, score, place));
        }
    }
    Some(found)
}
