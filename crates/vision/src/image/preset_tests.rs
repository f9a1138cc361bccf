//! Against arithmetic by hand, and against Pillow 13.0 and torchvision's rules.

use super::*;

/// The pixels of a 9x7 picture in which no two neighbours are alike.
fn pattern() -> Picture {
    let sample = |i: u32| {
        let (x, y, c) = (i / 3 % 9, i / 27, i % 3);
        ((x * 37 + y * 91 + c * 53 + x * y * 11) % 256) as u8
    };
    Picture::new(9, 7, 3, (0..9 * 7 * 3).map(sample).collect()).unwrap()
}

fn two_by_two() -> Picture {
    Picture::new(2, 2, 3, vec![255, 0, 51, 0, 255, 102, 10, 20, 30, 0, 0, 0]).unwrap()
}

fn applied(preset: &str, picture: &Picture, shape: [usize; 4]) -> Vec<f32> {
    let tensor = Preset::named(preset).unwrap().apply(picture, shape).unwrap();
    assert_eq!(tensor.shape(), shape);
    tensor.as_real().unwrap().iter().copied().collect()
}

fn assert_within_one_level(actual: &Picture, expected: &[u8]) {
    assert_eq!(actual.pixels().len(), expected.len());
    let worst = actual.pixels().iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "{worst:?}: {:?}", actual.pixels());
}

#[test]
fn the_arithmetic_is_that_of_the_description() {
    let shape = [1, 3, 2, 2];
    let red = [255.0, 0.0, 10.0, 0.0];
    let green = [0.0, 255.0, 20.0, 0.0];
    let blue = [51.0, 102.0, 30.0, 0.0];
    let pixels = [red, green, blue].concat();
    let mapped = |f: fn(f32) -> f32| pixels.iter().map(|&x| f(x)).collect::<Vec<f32>>();
    assert_eq!(applied("none", &two_by_two(), shape), pixels);
    assert_eq!(applied("unit", &two_by_two(), shape), mapped(|x| x / 255.0));
    assert_eq!(applied("tf", &two_by_two(), shape), mapped(|x| x / 127.5 - 1.0));
    let caffe = [blue.map(|x| x - 104.0), green.map(|x| x - 117.0), red.map(|x| x - 123.0)].concat();
    assert_eq!(applied("imagenet-caffe", &two_by_two(), shape), caffe);
}

#[test]
fn imagenet_normalises_each_channel_by_its_own_mean_and_deviation() {
    // One colour stays itself however it is resized.
    let flat = Picture::new(5, 4, 3, [255, 51, 0].repeat(20)).unwrap();
    let expected = [(1.0 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0.0 - 0.406) / 0.225];
    let actual = applied("imagenet", &flat, [1, 3, 2, 2]);
    for (actual, expected) in actual.iter().zip(expected.map(|x: f32| [x; 4]).concat()) {
        assert!((actual - expected).abs() <= 1e-6, "{actual} against {expected}");
    }
}

#[test]
fn a_network_of_one_channel_gets_luma() {
    let red = Picture::new(1, 1, 3, vec![255, 0, 0]).unwrap();
    assert_eq!(applied("none", &red, [1, 1, 1, 1]), [76.0]);
    assert_eq!(applied("unit", &red, [1, 1, 1, 1]), [76.0 / 255.0]);
    let grey = Picture::new(1, 1, 1, vec![9]).unwrap();
    assert_eq!(applied("none", &grey, [1, 3, 1, 1]), [9.0; 3]);
}

#[test]
fn resizing_is_that_of_pillow() {
    // Image.resize((4, 3), Image.BILINEAR)
    let expected = [
        106, 135, 146, 133, 135, 144, 130, 133, 128, 118, 112, 118, 117, 144, 119, 131, 122, 111, 117, 131, 123, 152,
        128, 122, 118, 153, 141, 137, 119, 136, 121, 135, 152, 158, 130, 118,
    ];
    assert_within_one_level(&Resize::Exact.apply(&pattern(), 4, 3, Filter::Bilinear).unwrap().0, &expected);
}

#[test]
fn the_shorter_side_and_the_crop_are_those_of_torchvision() {
    // resize((6, 5), Image.BILINEAR).crop((1, 0, 5, 4)): offsets of 1 and, since Python rounds 0.5 to even, 0.
    let expected = [
        103, 146, 152, 133, 138, 182, 139, 173, 131, 141, 100, 105, 143, 136, 126, 136, 125, 119, 128, 102, 108, 96,
        133, 148, 126, 145, 92, 142, 104, 108, 105, 133, 137, 156, 149, 96, 93, 133, 138, 131, 121, 127, 94, 134, 140,
        133, 123, 129,
    ];
    let resize = Resize::ShorterSide { crop_ratio: 0.875 };
    assert_within_one_level(&resize.apply(&pattern(), 4, 4, Filter::Bilinear).unwrap().0, &expected);
}

#[test]
fn a_centre_crop_has_the_network_s_aspect() {
    let row = Picture::new(6, 1, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(Resize::CentreCrop.apply(&row, 2, 1, Filter::Bilinear).unwrap().0.pixels(), [3, 4]);
    assert_eq!(Resize::CentreCrop.apply(&row, 1, 1, Filter::Bilinear).unwrap().0.pixels(), [3]);
    let column = Picture::new(1, 6, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(Resize::CentreCrop.apply(&column, 1, 2, Filter::Bilinear).unwrap().0.pixels(), [3, 4]);
}

#[test]
fn every_preset_takes_any_picture_and_refuses_other_inputs() {
    let sliver = Picture::new(16384, 1, 1, vec![3; 16384]).unwrap();
    for preset in PRESETS {
        assert_eq!(Preset::named(preset.name).unwrap(), preset);
        assert!(preset.apply(&sliver, [1, 3, 24, 32]).is_ok());
        for shape in
            [[2, 3, 4, 4], [0, 3, 4, 4], [1, 2, 4, 4], [1, 3, 0, 4], [1, 3, 1 << 40, 4], [1, 3, 1 << 20, 1 << 20]]
        {
            assert!(preset.apply(&sliver, shape).is_err(), "{} {shape:?}", preset.name);
        }
    }
    assert!(matches!(Preset::named("imagnet"), Err(Error::Usage(_))));
    assert!(matches!(PRESETS[0].apply(&sliver, [1, 1, 28, 28]), Err(Error::Usage(_))));
}

#[test]
fn a_preset_describes_all_it_does() {
    assert_eq!(
        PRESETS[0].to_string(),
        "imagenet: RGB, shorter side 256 (bilinear, antialiased), centre crop 224x224, /255, \
         mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
    );
    let described = PRESETS[1..].iter().map(|preset| preset.describe([1, 1, 240, 320])).collect::<Vec<_>>();
    assert_eq!(
        described,
        [
            "imagenet-caffe: BGR, centre crop resized to 320x240 (bilinear, antialiased), mean 104 117 123",
            "tf: RGB, resized to 320x240 (bilinear, antialiased), /127.5, mean 1",
            "unit: grey, resized to 320x240 (bilinear, antialiased), /255",
            "none: grey, resized to 320x240 (bilinear, antialiased)",
        ]
    );
}
