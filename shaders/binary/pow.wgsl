// a to the power of b, at its ends as C has it. WGSL leaves powers of negative numbers open: a whole exponent gives them the sign
// of its parity, and any other the NaN of a logarithm that does not exist, but for those of minus infinity.
fn combine(a: f32, b: f32) -> f32 {
    if (!is_nan(b) && b == 0.0) {
        return 1.0;
    }
    if (is_nan(a)) {
        return a;
    }
    if (a == 1.0) {
        return 1.0;
    }
    if (is_nan(b)) {
        return b;
    }
    if (a == 0.0) {
        // Of the exponent's sign nothing but that decides; an odd whole exponent keeps the sign of a zero.
        let zero = select(0.0, a, is_odd(b));
        return select(zero, 1.0 / zero, b < 0.0);
    }
    let magnitude = select(exp2(b * log2(abs(a))), 1.0, a == -1.0);
    let whole = b == trunc(b) || is_infinite(a);
    return select(select(log2(a), select(magnitude, -magnitude, is_odd(b)), whole), magnitude, a > 0.0);
}

// What is beyond 2^24 is even.
fn is_odd(b: f32) -> bool {
    return b == trunc(b) && abs(b) <= 16777216.0 && b != 2.0 * trunc(b / 2.0);
}

fn is_infinite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}
