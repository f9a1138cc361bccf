// The integer next to x on the side of zero.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return trunc(x);
}
