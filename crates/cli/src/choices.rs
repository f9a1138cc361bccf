//! The library's choices as values of flags: what each is called on the command line, and what `--help` says of it.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use reluctor::device::Precision;
use reluctor::gpu::Feature;
use reluctor::onnx::AlignCorners;
use reluctor_vision::answer::detect::{Corners, Style};

/// A value of a flag: its name, what it means, and what it stands for.
type Choice<T> = (&'static str, &'static str, T);

const PRECISIONS: &[Choice<Precision>] =
    &[("f32", "32-bit floats", Precision::F32), ("f16", "16-bit floats (not supported yet)", Precision::F16)];

const FEATURES: &[Choice<Feature>] = &[
    ("timestamps", "Timestamps: without them no step is timed by itself", Feature::Timestamps),
    ("f16", "16-bit floats in shaders", Feature::F16),
    ("int64", "64-bit integers in shaders: without them software adapters load and store more slowly", Feature::Int64),
    ("subgroups", "Subgroup operations: without them convolutions take other kernels", Feature::Subgroups),
    ("pipeline-cache", "Compiled pipelines that are kept between runs", Feature::PipelineCache),
];

const ALIGN_CORNERS: &[Choice<AlignCorners>] = &[
    (
        "auto",
        "As the tool that wrote the file means it: rounded where the file names PyTorch as its producer, else as ONNX",
        AlignCorners::Auto,
    ),
    ("onnx", "Scale times size as it is, like ONNX's own test data and reference evaluator", AlignCorners::Onnx),
    ("rounded", "The whole number of elements that there are, like PyTorch and ONNX Runtime", AlignCorners::Rounded),
];

const STYLES: &[Choice<Style>] = &[
    ("auto", "Told by the outputs' names and shapes", Style::Auto),
    ("yolox", "One row a cell: centre, size, objectness, classes; raw or in pixels", Style::Yolox),
    ("yolov5", "YOLOv5 and v7: rows of centre, size, objectness, classes, in pixels", Style::Yolov5),
    ("yolov8", "YOLOv8 and later: centre, size, classes, in pixels", Style::Yolov8),
    ("pairs", "An output of boxes and one of scores: UltraFace, SSD, torchvision, TensorFlow", Style::Pairs),
    ("rows", "Rows of box, score, class, already suppressed", Style::Rows),
    ("fastestdet", "One grid: objectness, offset, size, classes", Style::Fastestdet),
    ("yunet", "Outputs cls_8, obj_8, bbox_8 and so on", Style::Yunet),
];

const CORNERS: &[Choice<Corners>] = &[
    ("xyxy", "Left, top, right, bottom", Corners::Xyxy),
    ("yxyx", "Top, left, bottom, right", Corners::Yxyx),
    ("xywh", "Left, top, width, height", Corners::Xywh),
    ("cxcywh", "Centre, width, height", Corners::Cxcywh),
];

fn parser<T: Copy + Send + Sync>(choices: &'static [Choice<T>]) -> impl TypedValueParser<Value = T> {
    let names = choices.iter().map(|(name, help, _)| PossibleValue::new(*name).help(*help));
    let stands_for = |text: String| choices.iter().find(|(name, ..)| *name == text).map(|(.., value)| *value);
    PossibleValuesParser::new(names).try_map(move |text| stands_for(text).ok_or("no such value"))
}

/// Of `--precision`.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    parser(PRECISIONS)
}

/// Of `--without`.
pub fn feature() -> impl TypedValueParser<Value = Feature> {
    parser(FEATURES)
}

/// Of `--align-corners`.
pub fn align_corners() -> impl TypedValueParser<Value = AlignCorners> {
    parser(ALIGN_CORNERS)
}

/// What `--align-corners` calls a choice.
pub fn name_of(choice: AlignCorners) -> &'static str {
    ALIGN_CORNERS.iter().find(|(.., known)| *known == choice).map_or("auto", |(name, ..)| name)
}

/// Of `--boxes`.
pub fn style() -> impl TypedValueParser<Value = Style> {
    parser(STYLES)
}

/// Of `--box-format`.
pub fn corners() -> impl TypedValueParser<Value = Corners> {
    parser(CORNERS)
}
