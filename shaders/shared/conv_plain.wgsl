// A convolution whose image, residual and result lie row-major, NCHW.
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

// bias, residual and activation, for the plain sum of one output element.
fn finish(sum: f32, n: u32, oc: u32, oy: u32, ox: u32) -> f32 {
    let whole = sum + bias_of(oc) + residual_at(((n * p.out_c + oc) * p.out_h + oy) * p.out_w + ox);
    return activate(whole, activation_parameter(oc), p.activation_b);
}
