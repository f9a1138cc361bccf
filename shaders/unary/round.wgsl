// The nearest integer; halves go to the even one.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return round(x);
}
