// The integer next to x on the side of zero; NaN, which is refused where it is read, for one that no int64 is.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let is_fraction = abs(x) < 1.0;
    if (bits >= 0x5f000000u && !is_fraction) {
        return bitcast<f32>(bits | 0x7fc00000u);
    }
    return select(trunc(x), 0.0, is_fraction);
}
