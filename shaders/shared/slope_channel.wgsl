// The activation's first parameter is the channel's slope.
fn activation_parameter(oc: u32) -> f32 {
    return slope_of(oc);
}
