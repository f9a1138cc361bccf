// x for x > a, else 0: for NaN too.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(0.0, x, x > a);
}
