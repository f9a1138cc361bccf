// Depthwise filters, strides and dilations of any size: each tap loads the 4 pixels that it lies over.
fn convolve_row(n: u32, block: u32, oy: u32, ox: u32) -> Row {
    let plane = (n * ((p.in_c + 3u) / 4u) + block) * p.in_h;
    let filter_at = (block - p.first_c / 4u) * p.k_h * p.k_w;
    let step = i32(p.stride_w);
    let bias = biases_of(block);
    var sum_0 = bias;
    var sum_1 = bias;
    var sum_2 = bias;
    var sum_3 = bias;
    for (var ky = 0u; ky < p.k_h; ky++) {
        let iy = i32(oy * p.stride_h + ky * p.dilation_h) - p.pad_top;
        if (iy < 0 || iy >= i32(p.in_h)) {
            continue;
        }
        let row = (plane + u32(iy)) * p.in_w;
        for (var kx = 0u; kx < p.k_w; kx++) {
            let weight = from_memory(weights[filter_at + ky * p.k_w + kx]);
            let ix = i32(ox * p.stride_w + kx * p.dilation_w) - p.pad_left;
            sum_0 += weight * input_or_zero(row, ix);
            sum_1 += weight * input_or_zero(row, ix + step);
            sum_2 += weight * input_or_zero(row, ix + 2 * step);
            sum_3 += weight * input_or_zero(row, ix + 3 * step);
        }
    }
    return Row(sum_0, sum_1, sum_2, sum_3);
}

fn input_or_zero(row: u32, ix: i32) -> vec4<f32> {
    let inside = ix >= 0 && ix < i32(p.in_w);
    return select(vec4<f32>(), from_memory(input[row + u32(clamp(ix, 0, i32(p.in_w) - 1))]), inside);
}
