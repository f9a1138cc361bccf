// -1, 0 or 1; NaN stays NaN where the driver honours NaN.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(select(x, -1.0, x < 0.0), 1.0, x > 0.0);
}
