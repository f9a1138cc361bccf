// channels_by_four: [n, c, h, w] to [n, c / 4, h, w, 4]. One invocation writes four channels of one pixel.

struct Params { channels: u32, blocks: u32, pixels: u32, count: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<InMemory>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let pixel = index % p.pixels;
    let block = index / p.pixels % p.blocks;
    let n = index / (p.pixels * p.blocks);
    var four = vec4<f32>();
    for (var i = 0u; i < min(4u, p.channels - min(block * 4u, p.channels)); i++) {
        four[i] = input[(n * p.channels + block * 4u + i) * p.pixels + pixel];
    }
    output[index] = to_memory(four);
}
