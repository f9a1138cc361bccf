// The pool at the end of a kernel, or in out_h and out_w the size of what is stored where there is none.
struct PoolParams {
    k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, dilation_h: u32, dilation_w: u32,
    pad_top: i32, pad_left: i32, pad_bottom: u32, pad_right: u32, out_h: u32, out_w: u32,
    count_include_pad: u32, reserved_0: u32, reserved_1: u32, reserved_2: u32,
}

// Where an output element lies: batch item, channel, row and column.
struct Place { n: u32, c: u32, y: u32, x: u32, at: u32 }

// Output elements are numbered over the channels that this dispatch computes.
fn place(index: u32) -> Place {
    let x = index % p.pool.out_w;
    let y = index / p.pool.out_w % p.pool.out_h;
    let plane = index / (p.pool.out_w * p.pool.out_h);
    let n = plane / p.count_c;
    let c = p.first_c + plane % p.count_c;
    return Place(n, c, y, x, ((n * p.out_c + c) * p.pool.out_h + y) * p.pool.out_w + x);
}
