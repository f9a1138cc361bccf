// Four numbers that lie side by side in storage.
alias InMemory = vec4<f32>;

fn from_memory(four: InMemory) -> vec4<f32> {
    return four;
}

fn to_memory(four: vec4<f32>) -> InMemory {
    return four;
}
