alias Element = InMemory;

fn of_each(four: Element, factors: Element, offsets: Element) -> Element {
    let x = from_memory(four);
    let f = from_memory(factors);
    let o = from_memory(offsets);
    return to_memory(vec4<f32>(
        of_one(x.x, f.x, o.x), of_one(x.y, f.y, o.y), of_one(x.z, f.z, o.z), of_one(x.w, f.w, o.w),
    ));
}
