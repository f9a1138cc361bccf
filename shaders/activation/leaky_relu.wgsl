// x for x >= 0, else a x. PReLU is the same with a channel's own slope for a.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(x, a * x, x < 0.0);
}
