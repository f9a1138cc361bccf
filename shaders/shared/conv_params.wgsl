// Sizes of a convolution or a transposed one. out_h and out_w are those before a pool. ic_begin and ic_end are the range of
// a group's input channels that this dispatch sums; first_c and count_c the range of output channels that it computes. activation
// and has_residual are read only where one pipeline serves several.
struct Params {
    pool: PoolParams,
    in_c: u32, in_h: u32, in_w: u32, out_c: u32, out_h: u32, out_w: u32,
    k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, dilation_h: u32, dilation_w: u32,
    pad_top: i32, pad_left: i32, in_c_per_group: u32, out_c_per_group: u32,
    first_c: u32, count_c: u32, ic_begin: u32, ic_end: u32,
    bias_at: u32, slope_at: u32, activation: u32, has_residual: u32, activation_a: f32, activation_b: f32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
