// select_each: one of two tensors, by a condition of 0 or 1; all three broadcast, by strides. One invocation computes one
// element.

struct Params {
    shape: array<vec4<u32>, 2>, condition_strides: array<vec4<u32>, 2>, a_strides: array<vec4<u32>, 2>,
    b_strides: array<vec4<u32>, 2>, first: u32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> condition: array<f32>;
@group(0) @binding(3) var<storage, read> input_a: array<f32>;
@group(0) @binding(4) var<storage, read> input_b: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    var rest = index;
    var c = 0u;
    var a = 0u;
    var b = 0u;
    for (var axis = 7u; axis > p.first; axis--) {
        let size = p.shape[axis / 4u][axis % 4u];
        let outer = rest / size;
        let place = rest - outer * size;
        c += place * p.condition_strides[axis / 4u][axis % 4u];
        a += place * p.a_strides[axis / 4u][axis % 4u];
        b += place * p.b_strides[axis / 4u][axis % 4u];
        rest = outer;
    }
    c += rest * p.condition_strides[p.first / 4u][p.first % 4u];
    a += rest * p.a_strides[p.first / 4u][p.first % 4u];
    b += rest * p.b_strides[p.first / 4u][p.first % 4u];
    output[index] = select(input_b[b], input_a[a], condition[c] != 0.0);
}
