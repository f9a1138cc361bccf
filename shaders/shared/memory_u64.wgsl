// Four numbers that lie side by side in storage, as two words: for software adapters, which load and store word by word.
alias InMemory = vec2<u64>;

fn from_memory(four: InMemory) -> vec4<f32> {
    let even = bitcast<vec2<f32>>(vec2<u32>(four));
    let odd = bitcast<vec2<f32>>(vec2<u32>(four >> vec2<u32>(32u)));
    return vec4<f32>(even.x, odd.x, even.y, odd.y);
}

fn to_memory(four: vec4<f32>) -> InMemory {
    let even = vec2<u64>(bitcast<vec2<u32>>(four.xz));
    let odd = vec2<u64>(bitcast<vec2<u32>>(four.yw));
    return even | (odd << vec2<u32>(32u));
}
