// conv_winograd: 3x3 at a stride of 1 by F(4x4, 3x3), on adapters with subgroups of 8. An invocation has 4 tiles of 4x4 results:
// it takes the pixels under them to points, multiplies these by the points of 32 filters at a time, whose weights go round by
// broadcast as in conv_subgroup, and takes the products to results. In between they lie in scratch memory, for each workgroup
// points [6 * 6][ic / 4][tile][4], then products [6 * 6][oc / 4][tile][4]: no invocation reads what another one wrote.
// ic_begin is the number of workgroups, of which each takes every ic_begin-th unit of work: a strip of tiles or, of the strips
// that are left when all workgroups have had as many, a part of the output channels; ic_end is the number of these parts. Image
// and result by four channels; weights [6 * 6][oc / 32][ic / 4][oc % 32][4], then biases and slopes.
// `main` is written by src/ops/conv/winograd/strips.rs.
// Expects: main, what the parts of the transforms and what conv_by_four expects.
@group(0) @binding(5) var<storage, read_write> scratch: array<InMemory>;

fn store_point(at: u32, point: vec4<f32>) {
    scratch[at] = to_memory(point);
}

fn product_at(at: u32) -> vec4<f32> {
    return from_memory(scratch[at]);
}
