alias Element = InMemory;
alias Numbers = vec4<f32>;

fn loaded(four: Element) -> Numbers {
    return from_memory(four);
}

fn stored(four: Numbers) -> Element {
    return to_memory(four);
}
