// roof_multiply_add: as many multiply-adds as the device can make. Twelve chains a lane hide the latency of each, and few
// enough registers hold them all.

struct Params { rounds: u32, factor: f32, addend: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

struct Chains { x: vec4<f32>, y: vec4<f32>, z: vec4<f32> }

// The factor and the addend of every multiply-add.
struct Terms { factor: vec4<f32>, addend: vec4<f32> }

fn once(c: Chains, t: Terms) -> Chains {
    return Chains(fma(c.x, t.factor, t.addend), fma(c.y, t.factor, t.addend), fma(c.z, t.factor, t.addend));
}

fn four(c: Chains, t: Terms) -> Chains {
    return once(once(once(once(c, t), t), t), t);
}

fn sixteen(c: Chains, t: Terms) -> Chains {
    return four(four(four(four(c, t), t), t), t);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // Read once: a driver may not see that nothing writes them.
    let terms = Terms(vec4<f32>(p.factor), vec4<f32>(p.addend));
    let start = vec4<f32>(f32(id.x), 1.0, 2.0, 3.0);
    var chains = Chains(start, start + 4.0, start + 8.0);
    for (var round = 0u; round < p.rounds; round++) {
        chains = sixteen(chains, terms);
    }
    let sum = chains.x + chains.y + chains.z;
    // Never equal: it only keeps the sums from being left out.
    if (sum.x + sum.y + sum.z + sum.w == terms.addend.x) {
        output[0] = sum.x;
    }
}
