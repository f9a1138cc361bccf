alias Element = f32;
