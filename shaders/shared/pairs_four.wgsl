// An operand runs on from one pair to the next, or is one number for all four.
alias Element = InMemory;

fn of_pairs(a: u32, b: u32) -> Element {
    let x = four(from_memory(input_a[a / 4u]), a, p.a_runs);
    let y = four(from_memory(input_b[b / 4u]), b, p.b_runs);
    return to_memory(vec4<f32>(of_pair(x.x, y.x), of_pair(x.y, y.y), of_pair(x.z, y.z), of_pair(x.w, y.w)));
}

fn four(numbers: vec4<f32>, at: u32, runs: u32) -> vec4<f32> {
    return select(vec4<f32>(numbers[at % 4u]), numbers, runs != 0u);
}
