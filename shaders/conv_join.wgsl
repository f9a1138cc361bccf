// conv_join: adds the sums of conv_gemm's splits, [split, n, oc / 4, oy, ox, 4], in their order, and finishes them. One
// invocation computes 4 channels of a pixel. The order is fixed, so that a run gives what the run before gave.
// Expects: what conv_by_four expects.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let pixels = p.out_h * p.out_w;
    let computed = (p.count_c + 3u) / 4u;
    if (index >= p.count * computed * pixels) {
        return;
    }
    let pixel = index % pixels;
    let block = p.first_c / 4u + index / pixels % computed;
    let n = index / (pixels * computed);
    let per_split = p.ic_end / 4u;
    let splits = ((p.in_c_per_group + 3u) / 4u + per_split - 1u) / per_split;
    let blocks = (p.out_c + 3u) / 4u;
    var sums = vec4<f32>();
    for (var split = 0u; split < splits; split++) {
        sums += from_memory(input[((split * p.count + n) * blocks + block) * pixels + pixel]);
    }
    store_four(sums + biases_of(block), n, block, pixel / p.out_w, pixel % p.out_w);
}
