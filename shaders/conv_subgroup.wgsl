// conv_subgroup: a subgroup of 8 invocations computes strips of neighbouring pixels, one strip an invocation, for a block of
// channels. Each invocation loads an eighth of the weights and hands them round by broadcast: where loads cost far more than
// arithmetic, as on software adapters, a vec4 that is loaded once feeds 32 products a pixel.
// Image and result by four channels; weights [block][ky][kx / TAPS][ic / 4][kx % TAPS][oc][4].
// The inner tile must be unrolled, or the sums do not stay in registers, so `main` is written by src/ops/conv/subgroup.rs. Expects: main, and what conv_by_four expects.

struct Strip { n: u32, oy: u32, ox: u32, exists: bool }

// Strips are numbered along rows, over the rows of all images; those behind the last are computed like it, and not stored.
fn strip(index: u32, pixels: u32) -> Strip {
    let per_row = (p.out_w + pixels - 1u) / pixels;
    let strips = p.count * p.out_h * per_row;
    let at = min(index, strips - 1u);
    return Strip(at / (per_row * p.out_h), at / per_row % p.out_h, at % per_row * pixels, index < strips);
}

// The row of the input under a tap of an output row; it may lie in the padding.
fn input_row(oy: u32, ky: u32) -> i32 {
    return i32(oy * p.stride_h + ky * p.dilation_h) - p.pad_top;
}

fn input_column(ox: u32, kx: u32) -> i32 {
    return i32(ox * p.stride_w + kx * p.dilation_w) - p.pad_left;
}

fn inside(at: i32, size: u32) -> bool {
    return at >= 0 && at < i32(size);
}

fn nearest(at: i32, size: u32) -> u32 {
    return u32(clamp(at, 0, i32(size) - 1));
}

// The first vec4 of an image's channels in the group of an output channel.
fn first_plane(n: u32, oc: u32) -> u32 {
    let group = oc / p.out_c_per_group;
    let blocks = (p.in_c + 3u) / 4u;
    return (n * blocks + group * (p.in_c_per_group / 4u)) * p.in_h * p.in_w;
}

fn store_pixel(sums: vec4<f32>, at: Strip, block: u32, pixel: u32) {
    if (at.exists && at.ox + pixel < p.out_w) {
        store_four(sums, at.n, block, at.oy, at.ox + pixel);
    }
}
