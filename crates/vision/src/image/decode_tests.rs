//! Formats, colour types and sizes, made here; and what strangers may send.

use super::*;
use ::image::codecs::jpeg::JpegEncoder;
use ::image::{GrayAlphaImage, ImageBuffer, Luma, Rgb, RgbImage, RgbaImage};

/// A zlib stream that stores its bytes.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let (a, b) =
        bytes.iter().fold((1u32, 0u32), |(a, b), &x| ((a + u32::from(x)) % 65521, (a + u32::from(x) + b) % 65521));
    let lengths = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
    [&[0x78, 0x01, 1], lengths.as_slice(), bytes, &(b << 16 | a).to_be_bytes()].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

/// A PNG of a header, the chunks given and the scan lines given, each with its filter byte.
fn png(size: [u32; 2], depth: u8, colour: u8, chunks: &[(&[u8; 4], &[u8])], lines: &[u8]) -> Vec<u8> {
    let header = [&size[0].to_be_bytes()[..], &size[1].to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let lines = stored(lines);
    let all = [(b"IHDR", header.as_slice())].into_iter().chain(chunks.iter().copied());
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in all.chain([(b"IDAT", lines.as_slice()), (b"IEND", &[])]) {
        png.extend(chunk(name, data));
    }
    png
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [name.as_slice(), data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decoded(bytes: &[u8]) -> Picture {
    from_bytes("test picture", bytes).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    let error = from_bytes("test picture", bytes).expect_err("must be refused");
    assert!(matches!(&error, Error::Invalid { culprit, .. } if culprit == "test picture"), "{error:?}");
    error.to_string()
}

/// 16x8: white on the left, black on the right.
fn half_white_jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 255 } else { 0 }; 3]));
    JpegEncoder::new_with_quality(&mut bytes, 100).encode_image(&image).unwrap();
    bytes
}

/// With an EXIF segment of one entry, the orientation.
fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff =
        [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
    let length = (2 + 6 + tiff.len()) as u16;
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", &tiff, &jpeg[2..]].concat()
}

#[test]
fn png_and_webp_are_decoded_by_content() {
    let pixels = vec![255, 0, 0, 1, 2, 3];
    let image = RgbImage::from_raw(2, 1, pixels.clone()).unwrap();
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        assert_eq!(decoded(&encoded(image.clone(), format)), Picture::new(2, 1, 3, pixels.clone()).unwrap());
    }
}

#[test]
fn grey_stays_one_channel_at_any_depth() {
    assert_eq!(decoded(&png([2, 1], 8, 0, &[], &[0, 7, 200])).pixels(), [7, 200]);
    assert_eq!(decoded(&png([3, 1], 1, 0, &[], &[0, 0b1010_0000])).pixels(), [255, 0, 255]);
    assert_eq!(decoded(&png([4, 1], 2, 0, &[], &[0, 0b0001_1011])).pixels(), [0, 85, 170, 255]);
    let deep = ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![0x12ff, 0xff00]).unwrap();
    assert_eq!(decoded(&encoded(deep, ImageFormat::Png)), Picture::new(2, 1, 1, vec![0x12, 0xff]).unwrap());
}

#[test]
fn sixteen_bits_keep_their_high_byte() {
    let deep = ImageBuffer::<Rgb<u16>, _>::from_raw(1, 1, vec![0x01ff, 0x8000, 0xffff]).unwrap();
    assert_eq!(decoded(&encoded(deep, ImageFormat::Png)).pixels(), [0x01, 0x80, 0xff]);
}

#[test]
fn alpha_is_dropped_and_not_blended() {
    let clear = RgbaImage::from_raw(1, 1, vec![10, 20, 30, 0]).unwrap();
    assert_eq!(decoded(&encoded(clear, ImageFormat::Png)).pixels(), [10, 20, 30]);
    let clear = GrayAlphaImage::from_raw(2, 1, vec![10, 0, 20, 255]).unwrap();
    assert_eq!(decoded(&encoded(clear, ImageFormat::Png)), Picture::new(2, 1, 1, vec![10, 20]).unwrap());
}

#[test]
fn palettes_are_expanded_transparent_or_not() {
    let palette: (&[u8; 4], &[u8]) = (b"PLTE", &[1, 2, 3, 4, 5, 6]);
    let lines = [0, 0b1000_0000];
    for chunks in [vec![palette], vec![palette, (b"tRNS", &[0])]] {
        assert_eq!(decoded(&png([2, 1], 1, 3, &chunks, &lines)).pixels(), [4, 5, 6, 1, 2, 3]);
    }
}

#[test]
fn of_an_animation_the_first_frame_is_taken() {
    let number = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    // Number, size, place; a second each, without disposal or blending.
    let control = |at: u32| [&number(&[at, 2, 1, 0, 0])[..], &[0, 1, 0, 1, 0, 0]].concat();
    let first = png([2, 1], 8, 0, &[(b"acTL", &number(&[2, 0])), (b"fcTL", &control(0))], &[0, 7, 200]);
    let second = [number(&[2]), stored(&[0, 90, 91])].concat();
    let (pictures, end) = first.split_at(first.len() - 12);
    let animated = [pictures, &chunk(b"fcTL", &control(1)), &chunk(b"fdAT", &second), end].concat();
    assert_eq!(decoded(&animated), Picture::new(2, 1, 1, vec![7, 200]).unwrap());
}

#[test]
fn inks_become_red_green_and_blue() {
    // A baseline JPEG of 8x8 pixels and four components, as Adobe writes inks, all of them half there: quantized by 1, one
    // code for a difference of 0 and one for the end of a block.
    let table = [&[0xff, 0xdb, 0, 67, 0][..], &[1; 64]].concat();
    let frame = [0xff, 0xc0, 0, 20, 8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0];
    let codes = |class: u8| [&[0xff, 0xc4, 0, 20, class, 1][..], &[0; 15], &[0]].concat();
    let scan = [0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0];
    let adobe = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    let jpeg = [adobe, &table[..], &frame, &codes(0x00), &codes(0x10), &scan, &[0b0000_0000, 0xff, 0xd9]].concat();
    let picture = decoded(&jpeg);
    assert_eq!((picture.width(), picture.height(), picture.channels()), (8, 8, 3));
    // Half of the light gets through each ink, and half of that through black.
    assert!(picture.pixels().iter().all(|&sample| (63..=65).contains(&sample)), "{:?}", &picture.pixels()[..3]);
}

#[test]
fn the_exif_orientation_is_applied() {
    let upright = decoded(&oriented(&half_white_jpeg(), 1));
    assert_eq!((upright.width(), upright.height()), (16, 8));
    // 6: to be turned clockwise, so that left comes up.
    let turned = decoded(&oriented(&half_white_jpeg(), 6));
    assert_eq!((turned.width(), turned.height()), (8, 16));
    assert!(turned.pixels()[0] > 200 && turned.pixels()[8 * 15 * 3] < 50);
    assert_eq!(decoded(&oriented(&half_white_jpeg(), 77)), upright);
}

#[test]
fn enormous_pictures_are_refused_by_their_header() {
    for size in [[60_000, 60_000], [16_385, 1], [16_384, 16_384], [0, 5], [u32::MAX, 1]] {
        refusal(&png(size, 8, 2, &[], &[0; 4]));
    }
    assert!(refusal(&png([60_000, 60_000], 16, 6, &[], &[0; 4])).contains("60000x60000"));
}

#[test]
fn truncated_pictures_are_refused() {
    let image = RgbImage::from_fn(40, 40, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    let exif = oriented(&half_white_jpeg(), 6);
    for whole in [encoded(image.clone(), ImageFormat::Png), encoded(image, ImageFormat::WebP), half_white_jpeg(), exif]
    {
        decoded(&whole);
        // A PNG's end marker, of 12 bytes, carries no pixels.
        for end in (0..whole.len() - 12).step_by(5) {
            refusal(&whole[..end]);
        }
    }
}

#[test]
fn the_end_of_a_thumbnail_is_not_the_end_of_its_picture() {
    let jpeg = half_white_jpeg();
    let with_end = [&jpeg[..2], &[0xff, 0xe1, 0, 4, 0xff, 0xd9], &jpeg[2..]].concat();
    assert!(is_complete(&with_end));
    assert!(!is_complete(&with_end[..with_end.len() - 2]));
}

#[test]
fn other_files_are_refused() {
    for bytes in [b"".as_slice(), b"GIF89a", b"BM", b"\x93NUMPY", b"\x89PNG\r\n\x1a\n", &[0xff, 0xd8, 0xff, 0xd9]] {
        refusal(bytes);
    }
    assert!(matches!(open("/nonexistent/picture.png"), Err(Error::Io { .. })));
    assert!(matches!(open("/dev"), Err(Error::Invalid { .. })));
}
