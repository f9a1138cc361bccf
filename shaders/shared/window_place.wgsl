// A place of a pool's window in the image that it pools, or outside of it.
struct WindowPlace { y: i32, x: i32, inside: bool }

fn window_place(pixel: u32, tap: u32) -> WindowPlace {
    let y = i32(pixel / p.pool.out_w * p.pool.stride_h + tap / p.pool.k_w * p.pool.dilation_h) - p.pool.pad_top;
    let x = i32(pixel % p.pool.out_w * p.pool.stride_w + tap % p.pool.k_w * p.pool.dilation_w) - p.pool.pad_left;
    let inside = tap < p.pool.k_h * p.pool.k_w && y >= 0 && y < i32(p.out_h) && x >= 0 && x < i32(p.out_w);
    return WindowPlace(y, x, inside);
}
