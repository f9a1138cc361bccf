// winograd_tiles: where conv_winograd takes three steps, the first. One invocation takes 4 channels of the 6x6 pixels under a
// tile of 4x4 results to points. Image by four channels; result [6 * 6][c / 4][tile][4], for the ic_end tiles from ic_begin on.
@group(0) @binding(1) var<storage, read_write> output: array<InMemory>;

fn store_point(at: u32, point: vec4<f32>) {
    output[at] = to_memory(point);
}

fn tiles_down() -> u32 {
    return (p.out_h + 3u) / 4u;
}

fn tiles_across() -> u32 {
    return (p.out_w + 3u) / 4u;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let blocks = (p.in_c + 3u) / 4u;
    let block = index / p.ic_end;
    if (block >= blocks) {
        return;
    }
    store_points(p.ic_begin + index % p.ic_end, block, index, blocks * p.ic_end);
}
