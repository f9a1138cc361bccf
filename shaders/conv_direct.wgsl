// conv_direct: one invocation computes one output element. The fallback: right for every Conv.
// input NCHW, weights OIHW, output NCHW. Expects: activate, activation_parameter, residual_at, a store.

fn convolve(n: u32, oc: u32, oy: u32, ox: u32) -> f32 {
    let first_ic = n * p.in_c + oc / p.out_c_per_group * p.in_c_per_group;
    var sum = 0.0;
    for (var ic = p.ic_begin; ic < p.ic_end; ic++) {
        for (var ky = 0u; ky < p.k_h; ky++) {
            let iy = i32(oy * p.stride_h + ky * p.dilation_h) - p.pad_top;
            if (iy < 0 || iy >= i32(p.in_h)) {
                continue;
            }
            let line = ((first_ic + ic) * p.in_h + u32(iy)) * p.in_w;
            let filter_line = (((oc - p.first_c) * p.in_c_per_group + ic) * p.k_h + ky) * p.k_w;
            for (var kx = 0u; kx < p.k_w; kx++) {
                let ix = i32(ox * p.stride_w + kx * p.dilation_w) - p.pad_left;
                if (ix >= 0 && ix < i32(p.in_w)) {
                    sum += input[line + u32(ix)] * weights[filter_line + kx];
                }
            }
        }
    }
    return sum;
}
