// pad_each: elements added around a tensor. One invocation computes one output element, or four channels of it.
// Expects: source_index, which gives the index behind a place in one dimension, or -1 for the constant; Element, Numbers, loaded,
// stored.

struct Params {
    shape: array<vec4<u32>, 2>, in_shape: array<vec4<i32>, 2>, in_strides: array<vec4<u32>, 2>,
    begin: array<vec4<i32>, 2>, value: f32, first: u32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> input: array<Element>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    var rest = index;
    var from_at = 0u;
    var inside = true;
    for (var axis = 7u; axis > p.first; axis--) {
        let size = p.shape[axis / 4u][axis % 4u];
        let outer = rest / size;
        let source = source_along(axis, rest - outer * size);
        inside = inside && source >= 0;
        from_at += u32(max(source, 0)) * p.in_strides[axis / 4u][axis % 4u];
        rest = outer;
    }
    let source = source_along(p.first, rest);
    inside = inside && source >= 0;
    from_at += u32(max(source, 0)) * p.in_strides[p.first / 4u][p.first % 4u];
    var value = Numbers(p.value);
    if (inside) {
        value = loaded(input[from_at]);
    }
    output[index] = stored(value);
}

fn source_along(axis: u32, place: u32) -> i32 {
    return source_index(i32(place) - p.begin[axis / 4u][axis % 4u], p.in_shape[axis / 4u][axis % 4u]);
}
