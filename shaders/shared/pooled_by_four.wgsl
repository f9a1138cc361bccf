// A pool in the dispatch of its convolution stores what it makes of a window.
fn store_pooled(values: vec4<f32>, n: u32, block: u32, y: u32, x: u32) {
    if (is_stored(block) && x < p.pool.out_w) {
        output[((n * ((p.out_c + 3u) / 4u) + block) * p.pool.out_h + y) * p.pool.out_w + x] = to_memory(values);
    }
}
