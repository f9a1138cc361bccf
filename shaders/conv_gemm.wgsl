// conv_gemm: convolution as a product of matrices, channels by products times products by pixels, without the second one
// ever being stored (implicit GEMM). A workgroup computes TILE_CHANNELS of TILE_PIXELS: its invocations carry SLAB vec4s of
// input channels of each pixel, and their filters, into workgroup memory and compute all products of them there, so that a
// number loaded once feeds a tile's whole side. The products of a sum are numbered tap by tap, within a tap by blocks of 4
// input channels. With splits, each workgroup sums a range of blocks only, and conv_join adds the ranges.
// Image and result by four channels; weights [group][oc / TILE_CHANNELS][split][product / 4][4 ic][TILE_CHANNELS].
// `main` and the tile's constants are written by src/ops/conv/gemm/tile.rs. Expects: main, TILE_*, SLAB, pixel_at, pixel_count,
// store_sums_of_four, and what conv_by_four expects.

// What a workgroup computes.
struct Tile {
    first_pixel: u32,
    // The first of its blocks of 4 output channels, and the end of its group's.
    first_block: u32,
    end_block: u32,
    // The first block of 4 input channels of its group, and how many of them it sums.
    first_in: u32,
    in_blocks: u32,
    split: u32,
    slabs: u32,
    // Where its filters begin.
    filters: u32,
    exists: bool,
}

fn tile_at(index: u32) -> Tile {
    let groups = p.in_c / p.in_c_per_group;
    let per_group = (min(p.out_c_per_group, p.count_c) + TILE_CHANNELS - 1u) / TILE_CHANNELS;
    let group_blocks = (p.in_c_per_group + 3u) / 4u;
    let per_split = p.ic_end / 4u;
    let splits = (group_blocks + per_split - 1u) / per_split;
    let block = index % (per_group * groups);
    let split = index / (per_group * groups) % splits;
    let first_pixel = index / (per_group * groups * splits) * TILE_PIXELS;

    let group = block / per_group;
    let first_block = (p.first_c + group * p.out_c_per_group + block % per_group * TILE_CHANNELS) / 4u;
    let end_channel = min(p.first_c + group * p.out_c_per_group + p.out_c_per_group, p.first_c + p.count_c);
    let in_blocks = min(per_split, group_blocks - split * per_split);
    let taps = p.k_h * p.k_w;
    let stored_slabs = (taps * per_split + SLAB - 1u) / SLAB;
    return Tile(
        first_pixel, first_block, (end_channel + 3u) / 4u,
        group * group_blocks + split * per_split, in_blocks, split, (taps * in_blocks + SLAB - 1u) / SLAB,
        (block * splits + split) * stored_slabs * SLAB * TILE_CHANNELS, first_pixel < pixel_count(),
    );
}

// A product of a sum, by fours: a block of input channels under a tap.
struct Product { block: u32, kx: u32, ky: u32 }

// So many fours further on.
fn advance(product: Product, by: u32, in_blocks: u32) -> Product {
    var to = product;
    to.block += by;
    while (to.block >= in_blocks) {
        to.block -= in_blocks;
        to.kx += 1u;
        if (to.kx == p.k_w) {
            to.kx = 0u;
            to.ky += 1u;
        }
    }
    return to;
}

// A pixel of the result; those behind the last do not exist.
struct Pixel { n: u32, y: u32, x: u32, exists: bool }

// An output pixel as the input sees it: its batch item's first block, and the place under the first tap.
struct Corner { first: u32, y: i32, x: i32, exists: bool }

fn corner(pixel: u32, tile: Tile) -> Corner {
    let at = pixel_at(pixel);
    return Corner(
        at.n * ((p.in_c + 3u) / 4u) + tile.first_in,
        i32(at.y * p.stride_h) - p.pad_top, i32(at.x * p.stride_w) - p.pad_left, at.exists,
    );
}

// Zero in the padding, behind the last product and behind the last pixel.
fn input_at(at: Corner, product: Product) -> vec4<f32> {
    let y = at.y + i32(product.ky * p.dilation_h);
    let x = at.x + i32(product.kx * p.dilation_w);
    let inside = at.exists && product.ky < p.k_h && y >= 0 && y < i32(p.in_h) && x >= 0 && x < i32(p.in_w);
    let index = ((at.first + product.block) * p.in_h + u32(y)) * p.in_w + u32(x);
    return select(vec4<f32>(), from_memory(input[select(0u, index, inside)]), inside);
}
