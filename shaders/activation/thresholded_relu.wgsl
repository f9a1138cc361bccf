// x for x > a, else 0.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(x, 0.0, x <= a);
}
