// a for a >= 0, else b a.
fn combine(a: f32, b: f32) -> f32 {
    return select(a, b * a, a < 0.0);
}
