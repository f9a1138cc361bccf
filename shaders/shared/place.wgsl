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
