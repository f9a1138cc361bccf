//! A colour for each class.

/// Steps of this share of the circle never come near an earlier hue soon (the golden ratio's).
const TURN: f64 = 0.618_033_988_749_895;

/// The colour of a class: bright, its hue a golden angle from that of the class before.
pub fn colour(class: usize) -> [u8; 3] {
    // From hue to RGB at saturation 0.8 and value 0.95 (A. R. Smith, Color Gamut Transform Pairs, 1978).
    let hue = (class as f64 * TURN).fract() * 6.0;
    let channel = |shift: f64| {
        let distance = ((hue + shift) % 6.0 - 3.0).abs() - 1.0;
        (255.0 * 0.95 * (1.0 - 0.8 * (1.0 - distance.clamp(0.0, 1.0)))).round() as u8
    };
    [0.0, 4.0, 2.0].map(channel)
}

/// Black or white, whichever is easier to read on this colour.
pub(super) fn ink_on([r, g, b]: [u8; 3]) -> [u8; 3] {
    let luma = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    if luma > 140_000 { [0; 3] } else { [255; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_classes_are_told_apart_and_none_is_dark() {
        assert_eq!(colour(0), [242, 48, 48]);
        for a in 0..20 {
            assert!(colour(a).into_iter().max() > Some(200), "{:?}", colour(a));
            let distance = |b: usize| (0..3).map(|at| i32::from(colour(a)[at].abs_diff(colour(b)[at]))).sum::<i32>();
            assert!((a + 1..a + 4).all(|b| distance(b) > 60), "{a}");
        }
    }

    #[test]
    fn ink_is_dark_on_light_and_light_on_dark() {
        assert_eq!((ink_on([255, 240, 10]), ink_on([20, 20, 200])), ([0; 3], [255; 3]));
    }
}
