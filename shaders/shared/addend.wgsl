@group(0) @binding(4) var<storage, read> input_c: array<f32>;

fn addend_at(row: u32, column: u32) -> f32 {
    return p.beta * input_c[row * p.c_row + column * p.c_column];
}
