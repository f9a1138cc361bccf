// The nearest float16, of two the even one; an infinity from 65520 on. By its bits: what WGSL packs as a float16 may be rounded
// either way, and is left open where it is too large.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let sign = bits & 0x80000000u;
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return x;
    }
    if (magnitude >= 0x477ff000u) {
        return bitcast<f32>(sign | 0x7f800000u);
    }
    if (magnitude >= 0x38800000u) {
        return bitcast<f32>(sign | (to_even(magnitude, 13u) << 13u));
    }
    // Multiples of 2^-24: those below 2^-25 are nearer to zero, or as near.
    if (magnitude <= 0x33000000u) {
        return bitcast<f32>(sign);
    }
    let significand = (magnitude & 0x7fffffu) | 0x800000u;
    let units = f32(to_even(significand, 126u - (magnitude >> 23u))) * 0x1p-24;
    return bitcast<f32>(sign | bitcast<u32>(units));
}

// A number without its last so many bits, at least one: to the nearest, of two to the even one.
fn to_even(x: u32, bits: u32) -> u32 {
    return (x + (1u << (bits - 1u)) - 1u + ((x >> bits) & 1u)) >> bits;
}
