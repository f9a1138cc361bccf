// |x|
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return abs(x);
}
