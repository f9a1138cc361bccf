// conv_tile: one invocation computes 4 channels of 4 neighbouring pixels, so that 5 loads feed 16 multiply-adds where
// conv_direct needs 32. input NCHW, weights packed by four, output NCHW.
// Expects: activate, activation_parameter, residual_at. The 4 channels lie in one group.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let pixel_blocks = (p.out_h * p.out_w + 3u) / 4u;
    let channel_blocks = (p.count_c + 3u) / 4u;
    let pixel = index % pixel_blocks * 4u;
    let block = index / pixel_blocks % channel_blocks;
    let n = index / (pixel_blocks * channel_blocks);
    let oc = p.first_c + block * 4u;
    let first_ic = n * p.in_c + oc / p.out_c_per_group * p.in_c_per_group;

    let corner_0 = corner(pixel);
    let corner_1 = corner(pixel + 1u);
    let corner_2 = corner(pixel + 2u);
    let corner_3 = corner(pixel + 3u);
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    var filter_at = block * p.in_c_per_group * p.k_h * p.k_w;
    for (var ic = 0u; ic < p.in_c_per_group; ic++) {
        let plane = (first_ic + ic) * p.in_h * p.in_w;
        for (var ky = 0u; ky < p.k_h; ky++) {
            for (var kx = 0u; kx < p.k_w; kx++) {
                let weight = weights[filter_at];
                let tap = vec2<i32>(i32(ky * p.dilation_h), i32(kx * p.dilation_w));
                sum_0 += weight * input_or_zero(plane, corner_0 + tap);
                sum_1 += weight * input_or_zero(plane, corner_1 + tap);
                sum_2 += weight * input_or_zero(plane, corner_2 + tap);
                sum_3 += weight * input_or_zero(plane, corner_3 + tap);
                filter_at += 1u;
            }
        }
    }
    store(sum_0, n, oc, pixel);
    store(sum_1, n, oc, pixel + 1u);
    store(sum_2, n, oc, pixel + 2u);
    store(sum_3, n, oc, pixel + 3u);
}

// Row and column of the input under the first tap of an output pixel; either may lie in the padding.
fn corner(pixel: u32) -> vec2<i32> {
    let oy = pixel / p.out_w;
    let ox = pixel % p.out_w;
    return vec2<i32>(i32(oy * p.stride_h) - p.pad_top, i32(ox * p.stride_w) - p.pad_left);
}

fn input_or_zero(plane: u32, at: vec2<i32>) -> f32 {
    let inside = at.x >= 0 && at.x < i32(p.in_h) && at.y >= 0 && at.y < i32(p.in_w);
    let index = select(0u, plane + u32(at.x) * p.in_w + u32(at.y), inside);
    return select(0.0, input[index], inside);
}

// The last tile may hang over the last pixel and the last channel.
fn store(sum: vec4<f32>, n: u32, oc: u32, pixel: u32) {
    if (pixel >= p.out_h * p.out_w) {
        return;
    }
    let oy = pixel / p.out_w;
    let ox = pixel % p.out_w;
    let channels = min(4u, p.first_c + p.count_c - oc);
    for (var i = 0u; i < channels; i++) {
        output[(n * p.out_c + oc + i) * p.out_h * p.out_w + pixel] = finish(sum[i], n, oc + i, oy, ox);
    }
}
