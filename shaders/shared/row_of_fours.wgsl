// The four numbers of an element belong to one row.
fn along_row(sum: Numbers) -> Numbers {
    return Numbers(sum.x + sum.y + sum.z + sum.w);
}
