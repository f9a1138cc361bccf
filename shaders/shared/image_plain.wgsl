// The image lies row-major, NCHW.
@group(0) @binding(2) var<storage, read> input: array<f32>;
