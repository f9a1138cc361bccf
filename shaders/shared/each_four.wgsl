alias Element = InMemory;

fn of_each(four: Element) -> Element {
    let x = from_memory(four);
    return to_memory(vec4<f32>(of_one(x.x), of_one(x.y), of_one(x.z), of_one(x.w)));
}
