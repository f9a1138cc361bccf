alias Element = f32;

fn of_each(x: Element, factor: Element, offset: Element) -> Element {
    return of_one(x, factor, offset);
}
