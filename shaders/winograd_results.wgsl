// winograd_results: where conv_winograd takes three steps, the last. One invocation takes 4 channels of a tile's products
// [6 * 6][c / 4][tile][4] to 4x4 results, for the ic_end tiles from ic_begin on. in_c is what the products' channels are padded
// to. Result by four channels; weights are biases and slopes alone.
// Expects: what points_to_results and conv_by_four expect.

fn product_at(at: u32) -> vec4<f32> {
    return from_memory(input[at]);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let block = index / p.ic_end;
    if (block >= (p.out_c + 3u) / 4u) {
        return;
    }
    store_results(p.ic_begin + index % p.ic_end, block, index, p.in_c / 4u * p.ic_end);
}
