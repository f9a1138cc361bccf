// The integer next to x on the side of zero; -2^63 for NaN and what an int64 has not.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    if ((bitcast<u32>(x) & 0x7fffffffu) >= 0x5f000000u) {
        return -9223372036854775808.0;
    }
    // Zero has no sign among integers.
    return select(trunc(x), 0.0, abs(x) < 1.0);
}
