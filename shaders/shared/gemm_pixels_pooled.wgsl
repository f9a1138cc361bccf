// A tile's pixels are the places of windows of 2x2 at a stride of 2 that lie inside the image: 4 of an invocation's are a
// window's. Expects: take, pooled.
fn pixel_count() -> u32 {
    return p.count * p.pool.out_h * p.pool.out_w * 4u;
}

fn pixel_at(pixel: u32) -> Pixel {
    // An invocation's pixels lie TILE_COLUMNS apart.
    let place = pixel / TILE_COLUMNS % 4u;
    let window = pixel / (TILE_COLUMNS * 4u) * TILE_COLUMNS + pixel % TILE_COLUMNS;
    let n = window / (p.pool.out_h * p.pool.out_w);
    let y = window / p.pool.out_w % p.pool.out_h * 2u + place / 2u;
    return Pixel(n, y, window % p.pool.out_w * 2u + place % 2u, n < p.count);
}

// The sums of 4 of an invocation's pixels.
fn store_sums_of_four(
    sums_0: vec4<f32>, sums_1: vec4<f32>, sums_2: vec4<f32>, sums_3: vec4<f32>, tile: Tile, block: u32, pixel: u32,
) {
    let at = pixel_at(pixel);
    if (at.exists && block < tile.end_block) {
        let bias = biases_of(block);
        var state = take(vec4<f32>(), finish_four(bias + sums_0, at.n, block, at.y, at.x), 0u);
        state = take(state, finish_four(bias + sums_1, at.n, block, at.y, at.x + 1u), 1u);
        state = take(state, finish_four(bias + sums_2, at.n, block, at.y + 1u, at.x), 2u);
        state = take(state, finish_four(bias + sums_3, at.n, block, at.y + 1u, at.x + 1u), 3u);
        store_pooled(pooled(state, 4u, 0u), at.n, block, at.y / 2u, at.x / 2u);
    }
}
