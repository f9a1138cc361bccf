// roof_launch: next to nothing, so that what a dispatch of it takes is what any dispatch takes.

struct Params { value: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u {
        output[0] = p.value;
    }
}
