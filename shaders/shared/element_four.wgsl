alias Element = vec4<f32>;
