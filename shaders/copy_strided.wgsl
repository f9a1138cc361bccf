// copy_strided: every element of a shape from one walk to another: transpositions, slices, parts of a concatenation.
// One invocation copies one element, or four that lie side by side. Expects: Element.

struct Params {
    shape: array<vec4<u32>, 2>, in_strides: array<vec4<i32>, 2>, out_strides: array<vec4<u32>, 2>,
    in_offset: u32, out_offset: u32, first: u32, count: u32,
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
    var from_at = i32(p.in_offset);
    var to_at = p.out_offset;
    for (var axis = 7u; axis > p.first; axis--) {
        let size = p.shape[axis / 4u][axis % 4u];
        let outer = rest / size;
        let place = rest - outer * size;
        from_at += i32(place) * p.in_strides[axis / 4u][axis % 4u];
        to_at += place * p.out_strides[axis / 4u][axis % 4u];
        rest = outer;
    }
    from_at += i32(rest) * p.in_strides[p.first / 4u][p.first % 4u];
    to_at += rest * p.out_strides[p.first / 4u][p.first % 4u];
    output[to_at] = input[from_at];
}
