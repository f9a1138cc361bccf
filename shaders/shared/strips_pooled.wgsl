// Strips under a pool whose windows are 2x2 at a stride of 2 and lie inside the image: every second invocation has the strip
// below that of the one before it, so that a window is two neighbours of each. Expects: take, pooled.
fn strip(index: u32, pixels: u32) -> Strip {
    let per_row = (p.pool.out_w * 2u + pixels - 1u) / pixels;
    let pairs = p.count * p.pool.out_h * per_row;
    let at = min(index / 2u, pairs - 1u);
    let oy = at / per_row % p.pool.out_h * 2u + index % 2u;
    return Strip(at / (per_row * p.pool.out_h), oy, at % per_row * pixels, index / 2u < pairs);
}

// Where the windows of a strip and of the one below are stored: by the upper one, up to the row's end.
fn stored_strip(at: Strip, block: u32) -> Stored {
    let first = ((at.n * ((p.out_c + 3u) / 4u) + block) * p.pool.out_h + at.oy / 2u) * p.pool.out_w + at.ox / 2u;
    let is_ours = at.exists && at.oy % 2u == 0u && is_stored(block);
    return Stored(first, select(0u, p.pool.out_w - at.ox / 2u, is_ours));
}

fn store_two(left: vec4<f32>, right: vec4<f32>, to: Stored, pixel: u32) {
    let across = take(left, right, 1u);
    let whole = pooled(take(across, subgroupShuffleXor(across, 1u), 1u), 4u, 0u);
    if (pixel / 2u < to.count) {
        output[to.first + pixel / 2u] = to_memory(whole);
    }
}
