// exp(x) - 1 without cancellation near 0: eight terms of the Taylor series within 0.35 of it, where the cut-off is below
// 2e-8 relative, and the plain difference beyond, where exp's own error is divided by at least 0.29.
fn expm1(x: f32) -> f32 {
    let series = x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0
        * (1.0 + x / 6.0 * (1.0 + x / 7.0 * (1.0 + x / 8.0)))))));
    return select(exp(x) - 1.0, series, abs(x) < 0.35);
}
