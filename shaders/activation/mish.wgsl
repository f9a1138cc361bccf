// x tanh(ln(1 + exp(x))). With t = exp(-|x|), tanh(ln(1 + exp(x))) is (1 + 2t) / (1 + 2t + 2t^2) for x >= 0 and
// (t^2 + 2t) / (t^2 + 2t + 2) for x < 0: sums of positive terms, so neither overflow nor cancellation.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let t = exp(-abs(x));
    let numerator = select(1.0 + 2.0 * t, t * (t + 2.0), x < 0.0);
    let rest = select(2.0 * t * t, 2.0, x < 0.0);
    return x * (numerator / (numerator + rest));
}
