// roof_copy: 16 bytes read and 16 written by each invocation: what memory can move.

struct Params { count: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<InMemory>;
@group(0) @binding(2) var<storage, read> input: array<InMemory>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index < p.count) {
        output[index] = input[index];
    }
}
