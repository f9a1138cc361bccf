// gather_axis: slices along one axis, by their indices. One invocation copies one element.

struct Params { in_size: u32, out_size: u32, inner: u32, count: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;
// Whole numbers; a negative one counts from the end.
@group(0) @binding(3) var<storage, read> indices: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let stated = i32(indices[index / p.inner % p.out_size]);
    let place = u32(select(stated, stated + i32(p.in_size), stated < 0));
    let block = index / (p.inner * p.out_size);
    output[index] = input[(block * p.in_size + place) * p.inner + index % p.inner];
}
