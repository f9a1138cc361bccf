// conv_tile: one invocation computes 4 channels of 4 pixels, so that 5 loads feed 16 multiply-adds where conv_direct needs 32.
// input NCHW, weights packed by four, output NCHW. The 4 channels lie in one group.
// Expects: activate, activation_parameter, residual_at, a store for tiles.

// Plain sums of 4 channels, for each of 4 pixels.
struct Tile { at_0: vec4<f32>, at_1: vec4<f32>, at_2: vec4<f32>, at_3: vec4<f32> }

// The sums of the channels of a block, for the pixels whose windows start at these corners.
fn convolve_tile(
    n: u32, block: u32, corner_0: vec2<i32>, corner_1: vec2<i32>, corner_2: vec2<i32>, corner_3: vec2<i32>,
) -> Tile {
    let first_ic = n * p.in_c + first_channel(block) / p.out_c_per_group * p.in_c_per_group;
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    var filter_at = block * p.in_c_per_group * p.k_h * p.k_w;
    for (var ic = 0u; ic < p.in_c_per_group; ic++) {
        let plane = (first_ic + ic) * p.in_h * p.in_w;
        for (var ky = 0u; ky < p.k_h; ky++) {
            for (var kx = 0u; kx < p.k_w; kx++) {
                let weight = from_memory(weights[filter_at]);
                let tap = vec2<i32>(i32(ky * p.dilation_h), i32(kx * p.dilation_w));
                sum_0 += weight * input_or_zero(plane, corner_0 + tap);
                sum_1 += weight * input_or_zero(plane, corner_1 + tap);
                sum_2 += weight * input_or_zero(plane, corner_2 + tap);
                sum_3 += weight * input_or_zero(plane, corner_3 + tap);
                filter_at += 1u;
            }
        }
    }
    return Tile(sum_0, sum_1, sum_2, sum_3);
}

fn input_or_zero(plane: u32, at: vec2<i32>) -> f32 {
    let inside = at.x >= 0 && at.x < i32(p.in_h) && at.y >= 0 && at.y < i32(p.in_w);
    let index = select(0u, plane + u32(at.x) * p.in_w + u32(at.y), inside);
    return select(0.0, input[index], inside);
}

// Row and column of the input under the first tap at an output position; either may lie in the padding.
fn corner(oy: u32, ox: u32) -> vec2<i32> {
    return vec2<i32>(i32(oy * p.stride_h) - p.pad_top, i32(ox * p.stride_w) - p.pad_left);
}

fn first_channel(block: u32) -> u32 {
    return p.first_c + block * 4u;
}

fn channel_blocks() -> u32 {
    return (p.count_c + 3u) / 4u;
}

// Channels of a block that exist: the last block may hang over the last channel.
fn channels_of(block: u32) -> u32 {
    return min(4u, p.count_c - block * 4u);
}
