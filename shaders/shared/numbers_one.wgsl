alias Element = f32;
alias Numbers = f32;

fn loaded(x: Element) -> Numbers {
    return x;
}

fn stored(x: Numbers) -> Element {
    return x;
}
