// pad_each: elements added around a tensor. One invocation computes one output element.
// Expects: source_index, which gives the index behind a place in one dimension, or -1 for the constant.

struct Params {
    shape: array<vec4<u32>, 2>, in_shape: array<vec4<i32>, 2>, in_strides: array<vec4<u32>, 2>,
    begin: array<vec4<i32>, 2>, value: f32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    var rest = index;
    var from_at = 0u;
    var inside = true;
    for (var axis = 8u; axis > 0u; axis--) {
        let at = axis - 1u;
        let size = p.shape[at / 4u][at % 4u];
        let place = i32(rest % size) - p.begin[at / 4u][at % 4u];
        let source = source_index(place, p.in_shape[at / 4u][at % 4u]);
        inside = inside && source >= 0;
        from_at += u32(max(source, 0)) * p.in_strides[at / 4u][at % 4u];
        rest /= size;
    }
    var value = p.value;
    if (inside) {
        value = input[from_at];
    }
    output[index] = value;
}
