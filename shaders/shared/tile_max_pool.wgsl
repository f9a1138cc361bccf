// The largest element of each window; NaN wins. No finite start value is right for every
// window: the first element is it.
fn take(state: vec4<f32>, values: vec4<f32>, taken: u32) -> vec4<f32> {
    return select(state, values, (values > state) | are_nan(values) | vec4<bool>(taken == 0u));
}

fn pooled(state: vec4<f32>, taken: u32, pixel: u32) -> vec4<f32> {
    return state;
}
