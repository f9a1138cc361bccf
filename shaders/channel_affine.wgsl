// channel_affine: activate(factor[c] x + offset[c]). One invocation computes one element of NC..., or four that lie side by
// side there or as channels. Expects: activate, Element, loaded, stored,
// activated.

struct Params { channels: u32, inner: u32, count: u32, activation_a: f32, activation_b: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> input: array<Element>;
// A factor for each channel, or four of them; then an offset for each.
@group(0) @binding(3) var<storage, read> per_channel: array<Element>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let c = index / p.inner % p.channels;
    let factor = loaded(per_channel[c]);
    let offset = loaded(per_channel[p.channels + c]);
    output[index] = stored(activated(loaded(input[index]) * factor + offset));
}
