// The pool at the end of a kernel, or in out_h and out_w the size of what is stored where there is none.
struct PoolParams {
    k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, dilation_h: u32, dilation_w: u32,
    pad_top: i32, pad_left: i32, pad_bottom: u32, pad_right: u32, out_h: u32, out_w: u32,
    count_include_pad: u32, by_columns: u32, reserved_0: u32, reserved_1: u32,
}
