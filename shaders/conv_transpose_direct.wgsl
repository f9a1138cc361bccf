// conv_transpose_direct: one invocation computes one output element from the inputs that reach it.
// input NCHW, weights OIHW (packed so at load), output NCHW. Expects: activate, activation_parameter, residual_at, a store.

// Of the taps of an axis, the first that can reach a place, and how many further on the next one: inputs are a stride apart. Taps
// that are apart themselves are all tried.
fn first_tap(reach: i32, stride: u32, dilation: u32) -> u32 {
    return select(0u, u32(reach) % stride, dilation == 1u);
}

fn next_tap(stride: u32, dilation: u32) -> u32 {
    return select(1u, stride, dilation == 1u);
}

fn convolve(n: u32, oc: u32, oy: u32, ox: u32) -> f32 {
    let first_ky = first_tap(i32(oy) + p.pad_top, p.stride_h, p.dilation_h);
    let first_kx = first_tap(i32(ox) + p.pad_left, p.stride_w, p.dilation_w);
    let next_ky = next_tap(p.stride_h, p.dilation_h);
    let next_kx = next_tap(p.stride_w, p.dilation_w);
    let first_ic = n * p.in_c + oc / p.out_c_per_group * p.in_c_per_group;
    var sum = 0.0;
    for (var ic = p.ic_begin; ic < p.ic_end; ic++) {
        for (var ky = first_ky; ky < p.k_h; ky += next_ky) {
            // Input row iy reaches output row iy * stride + ky * dilation - pad: only whole iy count.
            let reach_y = i32(oy) + p.pad_top - i32(ky * p.dilation_h);
            let iy = u32(reach_y) / p.stride_h;
            if (reach_y < 0 || u32(reach_y) % p.stride_h != 0u || iy >= p.in_h) {
                continue;
            }
            let line = ((first_ic + ic) * p.in_h + iy) * p.in_w;
            let filter_line = (((oc - p.first_c) * p.in_c_per_group + ic) * p.k_h + ky) * p.k_w;
            for (var kx = first_kx; kx < p.k_w; kx += next_kx) {
                let reach_x = i32(ox) + p.pad_left - i32(kx * p.dilation_w);
                let ix = u32(reach_x) / p.stride_w;
                if (reach_x >= 0 && u32(reach_x) % p.stride_w == 0u && ix < p.in_w) {
                    sum += input[line + ix] * weights[filter_line + kx];
                }
            }
        }
    }
    return sum;
}
