// The nearest bfloat16, of two the even one; an infinity where none is so large. NaN stays NaN where the driver honours NaN.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let bits = bitcast<u32>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return x;
    }
    return bitcast<f32>((bits + 0x7fffu + ((bits >> 16u) & 1u)) & 0xffff0000u);
}
