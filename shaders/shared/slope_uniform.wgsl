// The activation's first parameter is one number.
fn activation_parameter(oc: u32) -> f32 {
    return p.activation_a;
}
