// binary_each: arithmetic of two tensors that broadcast, by strides. One invocation computes one element, or four that lie
// side by side. Expects: combine, activate, Element, of_pairs.

struct Params {
    shape: array<vec4<u32>, 2>, a_strides: array<vec4<u32>, 2>, b_strides: array<vec4<u32>, 2>,
    first: u32, count: u32, a_runs: u32, b_runs: u32, activation_a: f32, activation_b: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> input_a: array<Element>;
@group(0) @binding(3) var<storage, read> input_b: array<Element>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    var rest = index;
    var a = 0u;
    var b = 0u;
    for (var axis = 7u; axis > p.first; axis--) {
        let size = p.shape[axis / 4u][axis % 4u];
        let outer = rest / size;
        let place = rest - outer * size;
        a += place * p.a_strides[axis / 4u][axis % 4u];
        b += place * p.b_strides[axis / 4u][axis % 4u];
        rest = outer;
    }
    a += rest * p.a_strides[p.first / 4u][p.first % 4u];
    b += rest * p.b_strides[p.first / 4u][p.first % 4u];
    output[index] = of_pairs(a, b);
}

fn of_pair(a: f32, b: f32) -> f32 {
    return activate(combine(a, b), p.activation_a, p.activation_b);
}
