// tanh(x) = -m / (2 + m) with m = exp(-2 |x|) - 1, and x's sign: no overflow, no cancellation near 0.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let m = expm1(-2.0 * abs(x));
    let magnitude = -m / (2.0 + m);
    return select(magnitude, -magnitude, x < 0.0);
}
