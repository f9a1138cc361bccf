// roof_multiply_add: as many multiply-adds as the device can make. Twelve chains a lane hide the latency of each, and few
// enough registers hold them all.

struct Params { rounds: u32, factor: f32, addend: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

struct Chains { x: vec4f, y: vec4f, z: vec4f }

fn once(c: Chains) -> Chains {
    let factor = vec4f(p.factor);
    let addend = vec4f(p.addend);
    return Chains(fma(c.x, factor, addend), fma(c.y, factor, addend), fma(c.z, factor, addend));
}

fn four(c: Chains) -> Chains {
    return once(once(once(once(c))));
}

fn sixteen(c: Chains) -> Chains {
    return four(four(four(four(c))));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let start = vec4f(f32(id.x), 1.0, 2.0, 3.0);
    var chains = Chains(start, start + 4.0, start + 8.0);
    for (var round = 0u; round < p.rounds; round++) {
        chains = sixteen(chains);
    }
    let sum = chains.x + chains.y + chains.z;
    // Never equal: it only keeps the sums from being left out.
    if sum.x + sum.y + sum.z + sum.w == p.addend {
        output[0] = sum.x;
    }
}
