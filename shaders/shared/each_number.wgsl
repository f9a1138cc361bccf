alias Element = f32;

fn of_each(x: Element) -> Element {
    return of_one(x);
}
