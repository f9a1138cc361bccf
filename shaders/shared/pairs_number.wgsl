alias Element = f32;

fn of_pairs(a: u32, b: u32) -> Element {
    return of_pair(input_a[a], input_b[b]);
}
