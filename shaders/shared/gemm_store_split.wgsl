// The sums are a split's: conv_join adds them.
fn store_sums(sums: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32, split: u32) {
    let blocks = (p.out_c + 3u) / 4u;
    output[(((split * p.count + n) * blocks + block) * p.out_h + oy) * p.out_w + ox] = to_memory(sums);
}
