// The activation's first parameter is one number.
fn activation_parameters(block: u32) -> vec4<f32> {
    return vec4<f32>(p.activation_a);
}
