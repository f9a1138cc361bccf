// The mean of each window: over the elements inside the image, or over all that lie inside the padded image.
fn take(state: vec4<f32>, values: vec4<f32>, taken: u32) -> vec4<f32> {
    return state + values;
}

fn pooled(state: vec4<f32>, taken: u32, pixel: u32) -> vec4<f32> {
    if (p.pool.count_include_pad == 0u) {
        return state / f32(taken);
    }
    var count = 0u;
    for (var tap = 0u; tap < p.pool.k_h * p.pool.k_w; tap++) {
        let place = window_place(pixel, tap);
        count += u32(place.y < i32(p.out_h + p.pool.pad_bottom) && place.x < i32(p.out_w + p.pool.pad_right));
    }
    return state / f32(count);
}
