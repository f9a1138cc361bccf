// conv_subgroup: a subgroup of 8 invocations computes strips of neighbouring pixels, one strip an invocation, for a block of
// channels. Each invocation loads an eighth of the weights and hands them round by broadcast: where loads cost far more than
// arithmetic, as on software adapters, a vec4 that is loaded once feeds 32 products a pixel.
// Image and result by four channels; weights [block][ky][kx / TAPS][ic / 4][kx % TAPS][oc][4], with
// zeros behind the last tap.
// The inner tile must be unrolled, or the sums do not stay in registers, so `main` is written by src/ops/conv/subgroup.rs.
// Expects: main, and what conv_by_four and strips expect.

fn input_column(ox: u32, kx: u32) -> i32 {
    return i32(ox * p.stride_w + kx * p.dilation_w) - p.pad_left;
}

// The first vec4 of an image's channels in the group of an output channel.
fn first_plane(n: u32, oc: u32) -> u32 {
    let group = oc / p.out_c_per_group;
    let blocks = (p.in_c + 3u) / 4u;
    return (n * blocks + group * (p.in_c_per_group / 4u)) * p.in_h * p.in_w;
}
