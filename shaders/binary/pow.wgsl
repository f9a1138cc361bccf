// a to the power of b. WGSL leaves powers of negative numbers open: a whole exponent gives them the sign of its parity, and
// any other the NaN of a logarithm that does not exist.
fn combine(a: f32, b: f32) -> f32 {
    if (b == 0.0) {
        return 1.0;
    }
    if (a == 0.0) {
        // Of the exponent's sign nothing but that decides; an odd whole exponent keeps the sign of a zero.
        let zero = select(0.0, a, is_odd(b));
        return select(zero, 1.0 / zero, b < 0.0);
    }
    let magnitude = exp2(b * log2(abs(a)));
    let whole = b == trunc(b);
    return select(select(log2(a), select(magnitude, -magnitude, is_odd(b)), whole), magnitude, a > 0.0);
}

fn is_odd(b: f32) -> bool {
    return b == trunc(b) && b != 2.0 * trunc(b / 2.0);
}
