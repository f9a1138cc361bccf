// Strips under a pool of maxima whose windows are 3x3 at a stride of 2: an invocation computes the pixels of a row that a few
// neighbouring windows see, goes down the rows of more windows, and keeps the largest so far of each. So only the first of
// its rows, and its last column, are computed by another invocation too. Maxima of plain sums: what follows never decreases.
// Expects: take, WINDOWS in a row, MOST_ROWS of them.

// Windows of a column that an invocation computes: all columns are cut into as few equal parts as may be.
fn rows_each() -> u32 {
    let parts = (p.pool.out_h + MOST_ROWS - 1u) / MOST_ROWS;
    return (p.pool.out_h + parts - 1u) / parts;
}

// Its first window.
struct Windows { n: u32, y: u32, x: u32, exists: bool }

fn windows(index: u32) -> Windows {
    let per_row = (p.pool.out_w + WINDOWS - 1u) / WINDOWS;
    let parts = (p.pool.out_h + rows_each() - 1u) / rows_each();
    let all = p.count * parts * per_row;
    let at = min(index, all - 1u);
    return Windows(at / (per_row * parts), at / per_row % parts * rows_each(), at % per_row * WINDOWS, index < all);
}

// The row of the convolution that is `row` rows below the first window's first, or the nearest one where that lies in the
// padding: a window that sees a row twice has the same maximum.
fn pooled_row(at: Windows, row: u32) -> u32 {
    return nearest(i32(at.y * 2u + row) - p.pool.pad_top, p.out_h);
}

// The largest of three neighbours in a row, of which the middle one lies inside the image.
fn largest(left: vec4<f32>, has_left: bool, middle: vec4<f32>, right: vec4<f32>, has_right: bool) -> vec4<f32> {
    let two = select(middle, take(middle, left, 1u), has_left);
    return select(two, take(two, right, 1u), has_right);
}

// The maxima of the window that ends with this row.
fn store_window(sums: vec4<f32>, at: Windows, block: u32, row: u32, window: u32) {
    let y = at.y + row / 2u - 1u;
    if (at.exists && y < p.pool.out_h) {
        store_pooled(finish_four(sums, at.n, block, 0u, 0u), at.n, block, y, at.x + window);
    }
}
