// max(x, 0), written as a choice so that NaN stays NaN where the driver honours NaN.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(x, 0.0, x < 0.0);
}
