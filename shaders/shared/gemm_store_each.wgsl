// The sums are whole.
fn store_sums(sums: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32, split: u32) {
    store_four(sums + biases_of(block), n, block, oy, ox);
}
