// conv_stem: the first layer of a network, whose image has few channels and lies row-major. A subgroup of 8 invocations computes
// strips of neighbouring pixels, one strip an invocation, for a block of 16 channels: a number that is loaded once serves all
// taps of a row of the filter that it lies under, and weights are handed round by broadcast. No channel is padded.
// Result by four channels; weights [block][kx / TAPS][ky][ic][kx % TAPS][16 oc], with zeros behind
// the last tap.
// The inner tile must be unrolled, or the sums do not stay in registers, so `main` is written by src/ops/conv/stem/tile.rs.
// Expects: main, and what conv_by_four expects.

// The first number of a row of the image's first channel.
fn first_of_row(n: u32, iy: i32) -> u32 {
    return (n * p.in_c * p.in_h + nearest(iy, p.in_h)) * p.in_w;
}
