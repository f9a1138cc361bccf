// activation_each: an activation that stands alone. One invocation computes one element, or four that lie side by side.
// Expects: activate, Element, loaded, stored, activated.

struct Params { count: u32, activation_a: f32, activation_b: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> input: array<Element>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index < p.count) {
        output[index] = stored(activated(loaded(input[index])));
    }
}
