//! From a detector's outputs to boxes on the picture.

use super::View;
use super::boxes::{Candidate, Detection, on_picture, suppressed};
use super::rows::Rows;
use super::{pairs, yolo};
use reluctor::error::{Error, Result, escape};
use reluctor::tensor::{Tensor, format_shape};

/// How outputs become boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the outputs hold.
    pub style: Style,
    /// What four numbers say, where they are not of one style's own; left, top, right, bottom where nothing is said.
    pub corners: Option<Corners>,
    /// Which column of scores is for nothing.
    pub background: Background,
    /// The score from which a box counts, 0 to 1.
    pub score: f32,
    /// The intersection over union up to which two boxes of a class both count, 0 to 1.
    pub iou: f32,
    /// How many boxes at most.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let (style, background) = (Style::Auto, Background::Auto);
        Settings { style, corners: None, background, score: 0.3, iou: 0.45, most: 100 }
    }
}

/// What a detector's outputs hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Told by the outputs' names and shapes
    Auto,
    /// One row a cell: centre, size, objectness, classes; raw or in pixels
    Yolox,
    /// YOLOv5 and v7: rows of centre, size, objectness, classes, in pixels
    Yolov5,
    /// YOLOv8 and later: centre, size, classes, in pixels
    Yolov8,
    /// An output of boxes and one of scores: UltraFace, SSD, torchvision, TensorFlow
    Pairs,
    /// Rows of box, score, class, already suppressed
    Rows,
    /// One grid: objectness, offset, size, classes
    Fastestdet,
    /// Outputs cls_8, obj_8, bbox_8 and so on
    Yunet,
}

/// What four numbers of a box say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corners {
    /// Left, top, right, bottom
    Xyxy,
    /// Top, left, bottom, right
    Yxyx,
    /// Left, top, width, height
    Xywh,
    /// Centre, width, height
    Cxcywh,
}

/// Which column of scores is for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// The first, where each row sums to 1.
    Auto,
    /// None: each column is something.
    None,
    /// This one.
    Class(usize),
}

/// The boxes that one item's outputs say, the surest first, on the picture.
///
/// # Errors
/// [`Error::Usage`] where the outputs are not of the style, or, where none was named, of any.
pub fn detect(
    outputs: &[(String, Tensor)],
    view: &View,
    settings: &Settings,
    labels: Option<&[String]>,
) -> Result<Vec<Detection>> {
    let styles = match settings.style {
        Style::Auto => {
            &[Style::Yunet, Style::Fastestdet, Style::Yolox, Style::Yolov5, Style::Yolov8, Style::Pairs, Style::Rows][..]
        }
        _ => std::slice::from_ref(&settings.style),
    };
    let candidates = styles.iter().find_map(|&style| candidates(style, outputs, view, settings));
    let candidates = candidates.ok_or_else(|| unknown(outputs, settings.style))?;
    let sure = candidates.into_iter().filter(|candidate| candidate.score >= settings.score);
    let found = sure.filter_map(|candidate| on_picture(candidate, view)).collect();
    let mut found = suppressed(found, settings.iou, settings.most);
    for detection in &mut found {
        detection.label = labels.and_then(|labels| labels.get(detection.class).cloned());
    }
    Ok(found)
}

fn unknown(outputs: &[(String, Tensor)], style: Style) -> Error {
    let shapes = outputs.iter().map(|(name, tensor)| format!("{} {}", escape(name), format_shape(tensor.shape())));
    let shapes = shapes.take(16).collect::<Vec<_>>().join(", ");
    let wanted = if style == Style::Auto { "no known detector's".to_string() } else { format!("not {style:?}'s") };
    Error::Usage(format!("the outputs are {wanted} ({shapes}); --boxes and --box-format say what they hold"))
}

fn candidates(style: Style, outputs: &[(String, Tensor)], view: &View, settings: &Settings) -> Option<Vec<Candidate>> {
    let named = settings.style == style;
    // Further outputs beside the one of boxes are features that some exporters leave in.
    let first = outputs.first().map(|(_, tensor)| tensor)?;
    let rows = || Rows::of(first).filter(|rows| outputs.len() == 1 || named || rows.width > 5);
    match style {
        Style::Auto => None,
        Style::Yunet => yolo::yunet(outputs, view),
        Style::Fastestdet => yolo::fastest_det(first, view).filter(|_| outputs.len() == 1 || named),
        Style::Yolox => {
            let rows = rows().filter(|rows| rows.width > 5)?;
            Some(yolo::yolox(&rows, &yolo::cells_of(view, rows.count, 1)?))
        }
        Style::Yolov5 => {
            let rows = rows().filter(|rows| rows.width > 5)?;
            (named || yolo::cells_of(view, rows.count, 3).is_some()).then(|| yolo::yolov5(&rows))
        }
        Style::Yolov8 => {
            // Channels come before cells, and there are more cells.
            let rows = rows().filter(|rows| rows.count > 4 && rows.count < rows.width)?;
            (named || yolo::cells_of(view, rows.width, 1).is_some()).then(|| yolo::yolov8(&rows.transposed()))
        }
        Style::Pairs => pairs::pairs(outputs, view, settings),
        Style::Rows => {
            let rows = rows().filter(|rows| rows.width == 6)?;
            Some(pairs::finished(&rows, view, settings))
        }
    }
}
