// conv_transpose_phases: puts the pixels of some phases of a transposed convolution in their places and finishes them. The sums
// lie as a convolution left them, [n, group, phase, oc / 4 / groups, row, column, 4], in_h rows and in_w columns of k_h * k_w
// phases. One invocation takes 4 channels of a pixel. Those whose places are cut off have none.
// Expects: what conv_by_four expects.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let rows = p.in_h * p.k_h;
    let columns = p.in_w * p.k_w;
    let blocks = (p.out_c + 3u) / 4u;
    if (index >= p.count * blocks * rows * columns) {
        return;
    }
    let x = index % columns;
    let y = index / columns % rows;
    let block = index / (columns * rows) % blocks;
    let n = index / (columns * rows * blocks);
    let oy = i32(y / p.k_h * p.stride_h + y % p.k_h) - p.pad_top;
    let ox = i32(x / p.k_w * p.stride_w + x % p.k_w) - p.pad_left;
    if (oy < 0 || oy >= i32(p.out_h) || ox < 0 || ox >= i32(p.out_w)) {
        return;
    }
    let phases = p.k_h * p.k_w;
    let phase = y % p.k_h * p.k_w + x % p.k_w;
    let per_group = (p.out_c_per_group + 3u) / 4u;
    let plane = (n * blocks + block / per_group * per_group) * phases + phase * per_group + block % per_group;
    let sums = from_memory(input[(plane * p.in_h + y / p.k_h) * p.in_w + x / p.k_w]);
    store_four(sums + biases_of(block), n, block, u32(oy), u32(ox));
}
