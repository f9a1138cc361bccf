//! From picture to answer: boxes, regions and pictures, by decoders on outputs made by hand and through the command line.

use crate::cli::{json, reluctor};
use crate::pictures::mirror;
use reluctor::error::Error;
use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::scratch::Scratch;
use reluctor_testing::tree::models;
use reluctor_vision::answer::View;
use reluctor_vision::answer::detect::{Background, Corners, Settings, Style, detect};
use reluctor_vision::image::{self, Picture, Placement};
use std::path::Path;

/// A network of 64x64 that saw a picture of 128x64 as a whole.
fn view() -> View {
    View {
        picture: [128, 64],
        network: [64, 64],
        channels: 3,
        placement: Placement { scale: [2.0, 1.0], offset: [0.0; 2] },
    }
}

/// Cells of a 64x64 network: 8x8, 4x4 and 2x2.
const CELLS: usize = 84;

fn output(name: &str, shape: &[usize], numbers: Vec<f32>) -> (String, Tensor) {
    (name.to_string(), Tensor::real(shape, numbers).unwrap())
}

/// Class, score rounded to hundredths, bounds rounded to pixels.
fn found(outputs: &[(String, Tensor)], settings: &Settings) -> Vec<(usize, f32, [f32; 4])> {
    let found = detect(outputs, &view(), settings, None).unwrap();
    found.iter().map(|d| (d.class, (d.score * 100.0).round() / 100.0, d.bounds.map(f32::round))).collect()
}

fn default() -> Settings {
    Settings::default()
}

#[test]
fn yolox_rows_are_decoded_by_their_cells() {
    let mut rows = vec![0.0; CELLS * 7];
    // The second grid's cell of row 1, column 2, at a stride of 16: 64 cells before it, then 1 * 4 + 2.
    let row = [0.5, 0.25, 0.0, 2f32.ln(), 0.9, 0.1, 0.8];
    rows[70 * 7..71 * 7].copy_from_slice(&row);
    let outputs = [output("y", &[1, CELLS, 7], rows.clone())];
    // Centre (2.5 * 16, 1.25 * 16), size 16x32; twice as wide in the picture.
    assert_eq!(found(&outputs, &default()), [(1, 0.72, [64.0, 4.0, 96.0, 36.0])]);
    rows[70 * 7..70 * 7 + 4].copy_from_slice(&[40.0, 20.0, 17.0, 32.0]);
    let decoded = [output("y", &[1, CELLS, 7], rows)];
    assert_eq!(found(&decoded, &default()), [(1, 0.72, [63.0, 4.0, 97.0, 36.0])]);
}

#[test]
fn yolov5_and_yolov8_rows_are_in_pixels() {
    let mut rows = vec![0.0; 3 * CELLS * 6];
    rows[..6].copy_from_slice(&[32.0, 32.0, 20.0, 10.0, 0.5, 1.0]);
    rows[6..12].copy_from_slice(&[33.0, 32.0, 20.0, 10.0, 0.4, 1.0]);
    let five = [output("y", &[1, 3 * CELLS, 6], rows)];
    assert_eq!(found(&five, &default()), [(0, 0.5, [44.0, 27.0, 84.0, 37.0])], "the second one is suppressed");
    let mut columns = vec![0.0; 6 * CELLS];
    for (channel, number) in [32.0, 32.0, 20.0, 10.0, 0.1, 0.6].into_iter().enumerate() {
        columns[channel * CELLS + 5] = number;
    }
    let eight = [output("output0", &[1, 6, CELLS], columns)];
    assert_eq!(found(&eight, &default()), [(1, 0.6, [44.0, 27.0, 84.0, 37.0])]);
}

#[test]
fn pairs_are_told_by_shape_and_name() {
    let boxes = output("boxes", &[1, 2, 4], vec![0.25, 0.5, 0.75, 1.0, 0.0, 0.0, 0.1, 0.1]);
    let scores = output("scores", &[1, 2, 2], vec![0.1, 0.9, 0.95, 0.05]);
    // Relative to the network, and the first class is for nothing: each row sums to 1.
    let expected = [(1, 0.9, [32.0, 32.0, 96.0, 64.0])];
    assert_eq!(found(&[scores.clone(), boxes.clone()], &default()).len(), 1);
    let mine = Settings { background: Background::Class(0), ..default() };
    let one = found(&[boxes.clone(), scores.clone()], &mine);
    assert_eq!(one.iter().map(|d| (d.1, d.2)).collect::<Vec<_>>(), expected.map(|d| (d.1, d.2)));
    let all = Settings { background: Background::None, ..default() };
    assert_eq!(found(&[boxes, scores], &all).len(), 2);
    // torchvision: pixels, a class and a score a row, no batch dimension.
    let torch = [
        output("boxes", &[2, 4], vec![8.0, 16.0, 24.0, 32.0, 8.0, 16.0, 24.0, 33.0]),
        ("labels".to_string(), Tensor::ints(vec![7, 7])),
        output("scores", &[2], vec![0.8, 0.9]),
    ];
    assert_eq!(found(&torch, &default()), [(7, 0.9, [16.0, 16.0, 48.0, 33.0])]);
    // TensorFlow: top, left, bottom, right.
    let tensorflow = [
        output("detection_boxes", &[1, 1, 4], vec![0.5, 0.25, 1.0, 0.75]),
        output("detection_classes", &[1, 1], vec![3.0]),
        output("detection_scores", &[1, 1], vec![0.5]),
        output("num_detections", &[1], vec![1.0]),
    ];
    assert_eq!(found(&tensorflow, &default()), [(3, 0.5, [32.0, 32.0, 96.0, 64.0])]);
}

#[test]
fn corners_say_what_four_numbers_mean() {
    let outputs = [output("b", &[1, 1, 4], vec![16.0, 16.0, 16.0, 32.0]), output("s", &[1, 1, 1], vec![0.9])];
    let bounds = |corners| found(&outputs, &Settings { corners: Some(corners), ..default() })[0].2;
    assert_eq!(bounds(Corners::Xywh), [32.0, 16.0, 64.0, 48.0]);
    assert_eq!(bounds(Corners::Cxcywh), [16.0, 0.0, 48.0, 32.0]);
}

#[test]
fn rows_that_are_already_suppressed_are_read_as_they_are() {
    let rows = vec![10.0, 10.0, 30.0, 50.0, 0.9, 4.0, 1.0, 1.0, 5.0, 5.0, 0.1, 2.0];
    assert_eq!(found(&[output("y", &[1, 2, 6], rows)], &default()), [(4, 0.9, [20.0, 10.0, 60.0, 50.0])]);
}

#[test]
fn outputs_of_no_detector_are_refused_with_their_shapes() {
    let error = detect(&[output("y", &[1, 1000], vec![0.0; 1000])], &view(), &default(), None).unwrap_err();
    assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("y 1x1000"), "{error}");
    let wrong = Settings { style: Style::Yunet, ..default() };
    assert!(detect(&[output("y", &[1, 84, 7], vec![0.0; 84 * 7])], &view(), &wrong, None).is_err());
}

/// 40x20: red on the left, blue on the right.
fn two_colours(test: &str) -> Scratch {
    let pixels = (0..40 * 20).flat_map(|at| if at % 40 < 20 { [255, 0, 0] } else { [0, 0, 255] }).collect();
    let file = Scratch::with(&format!("two-colours-{test}.png"), b"");
    Picture::new(40, 20, 3, pixels).unwrap().save_png(Path::new(file.path())).unwrap();
    file
}

#[test]
fn regions_are_painted_over_the_picture_with_a_legend() {
    let mut model = ModelBuilder::new(17);
    let weights = Tensor::real(&[2, 3, 1, 1], vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
    model.input("x", &TensorType::real([1, 3, 8, 8])).initializer("w", &weights);
    model.node("Conv", "conv", &["x", "w"], &["y"], &[]).output("y", None);
    let (model, picture) = (Scratch::with("segment.onnx", &model.to_bytes()), two_colours("segment"));
    let (labels, out) = (Scratch::with("labels.txt", b"red\nblue\n"), Scratch::with("mask.png", b""));
    let run = ["run", model.path(), picture.path(), "--device", "cpu", "--preset", "unit", "--task", "segment"];
    let more = ["--labels", labels.path(), "--out", out.path(), "--json"];
    let regions = &json(&[&run[..], &more].concat())["answers"][0]["regions"];
    assert_eq!((&regions[0]["share"], &regions[1]["share"]), (&0.5.into(), &0.5.into()));
    assert_eq!((&regions[0]["label"], &regions[1]["label"]), (&"red".into(), &"blue".into()));
    let painted = image::open(out.path()).unwrap();
    let pixel = |x: usize, y: usize| painted.pixels()[(y * 40 + x) * 3..][..3].to_vec();
    assert_eq!(pixel(5, 5), [255, 0, 0], "class 0 stays as it is");
    assert_ne!(pixel(30, 5), [0, 0, 255], "class 1 is tinted");
    assert!(painted.height() > 20 + 2 * 18, "two lines of legend below");
}

#[test]
fn an_output_picture_undoes_the_pre_processing() {
    let mut model = ModelBuilder::new(17);
    let scales = Tensor::real(&[4], vec![1.0, 1.0, 2.0, 2.0]).unwrap();
    model.input("x", &TensorType::real([1, 3, 0, 0])).initializer("scales", &scales);
    let nearest = [("mode", AttributeValue::Text("nearest".to_string()))];
    model.node("Resize", "twice", &["x", "", "scales"], &["y"], &nearest).output("y", None);
    let (model, picture) = (Scratch::with("twice.onnx", &model.to_bytes()), two_colours("twice"));
    let out = Scratch::with("twice.png", b"");
    for flags in [&["--preset", "tf"][..], &["--scale", "1/255", "--mean", "0.4", "--channels", "bgr"]] {
        let run = ["run", model.path(), picture.path(), "--device", "cpu", "--task", "image", "--out", out.path()];
        let output = reluctor(&[&run[..], flags, &["--resize", "none"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let restored = image::open(out.path()).unwrap();
        assert_eq!((restored.width(), restored.height()), (80, 40));
        assert_eq!((&restored.pixels()[..3], &restored.pixels()[79 * 3..80 * 3]), (&[255, 0, 0][..], &[0, 0, 255][..]));
    }
}

#[test]
fn a_network_of_luma_keeps_the_colours_of_what_it_saw() {
    let (model, picture) = (Scratch::with("luma.onnx", &mirror(1)), two_colours("luma"));
    let out = Scratch::with("luma.png", b"");
    let run = ["run", model.path(), picture.path(), "--device", "cpu", "--preset", "unit", "--task", "image"];
    assert!(reluctor(&[&run[..], &["--crop", "10x20", "--out", out.path()]].concat()).status.success());
    let restored = image::open(out.path()).unwrap();
    assert_eq!((restored.width(), restored.height(), restored.channels()), (10, 20, 3));
    let (left, right) = (&restored.pixels()[..3], &restored.pixels()[27..30]);
    assert!(left[0] > 200 && left[2] < 50 && right[2] > 200 && right[0] < 50, "{left:?} {right:?}");
}

#[test]
fn what_cannot_be_written_or_read_as_asked_is_a_usage_error() {
    let (model, picture) = (Scratch::with("usage.onnx", &mirror(3)), two_colours("usage"));
    let code = |flags: &[&str]| {
        let run = ["run", model.path(), picture.path(), "--device", "cpu", "--preset", "unit"];
        reluctor(&[&run[..], flags].concat()).status.code()
    };
    assert_eq!(code(&["--task", "classify"]), Some(2));
    assert_eq!(code(&["--task", "detect"]), Some(2));
    assert_eq!(code(&["--task", "image", "--out", "x.jpg"]), Some(2));
    assert_eq!(code(&["--task", "raw", "--out", "x.png"]), Some(2));
}

#[test]
#[ignore = "needs the networks of RELUCTOR_MODELS, and photographs beside them"]
fn real_detectors_find_the_cat_and_the_face() {
    let cat =
        [("yolox_nano_coco", "chelsea.png", vec!["--letterbox=corner:114", "--channels", "bgr"], 15, [0, 0, 451, 300])];
    let face = [180, 60, 270, 177];
    let faces = [
        ("ultraface_rfb320", "astronaut.png", vec!["--mean", "127", "--std", "128"], 0, face),
        (
            "yunet_n_dynamic",
            "astronaut.png",
            vec!["--preset", "none", "--channels", "bgr", "--resize", "320x320"],
            0,
            face,
        ),
    ];
    for (name, picture, flags, class, bounds) in cat.into_iter().chain(faces) {
        let model = models().join(name).join("model.onnx");
        let picture = models().join("../images").join(picture);
        let run = [
            "run",
            model.to_str().unwrap(),
            picture.to_str().unwrap(),
            "--device",
            "cpu",
            "--task",
            "detect",
            "--score",
            "0.6",
        ];
        let report = json(&[&run[..], &flags, &["--json"]].concat());
        let found = report["answers"][0]["detections"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!(found[0]["class"], class, "{name}");
        for (at, expected) in bounds.into_iter().enumerate() {
            let bound = found[0]["bounds"][at].as_f64().unwrap();
            assert!((bound - f64::from(expected)).abs() < 12.0, "{name}: {found:?}");
        }
    }
}
