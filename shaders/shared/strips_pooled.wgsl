// Strips under a pool whose windows are 2x2 at a stride of 2 and lie inside the image: every second invocation has the strip
// below that of the one before it, so that a window is two neighbours of each. Expects: take, pooled.
fn strip(index: u32, pixels: u32) -> Strip {
    let per_row = (p.pool.out_w * 2u + pixels - 1u) / pixels;
    let pairs = p.count * p.pool.out_h * per_row;
    let at = min(index / 2u, pairs - 1u);
    let oy = at / per_row % p.pool.out_h * 2u + index % 2u;
    return Strip(at / (per_row * p.pool.out_h), oy, at % per_row * pixels, index / 2u < pairs);
}

fn store_two(first: vec4<f32>, second: vec4<f32>, at: Strip, block: u32, pixel: u32) {
    let ox = at.ox + pixel;
    let across = take(
        finish_four(first, at.n, block, at.oy, ox), finish_four(second, at.n, block, at.oy, ox + 1u), 1u,
    );
    let whole = pooled(take(across, subgroupShuffleXor(across, 1u), 1u), 4u, 0u);
    if (at.exists && at.oy % 2u == 0u) {
        store_pooled(whole, at.n, block, at.oy / 2u, ox / 2u);
    }
}
