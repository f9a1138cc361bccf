//! The tiles of `conv_gemm`, and the WGSL of each: its inner loop is written out.

use super::super::text::{Text, grid};
use crate::kernels::Part;
use crate::plan::layout::CHANNELS;
use std::sync::LazyLock;

/// Products of each sum, by fours, that a workgroup holds at a time. With tiles of 128x128 this takes 16 KiB of workgroup
/// memory, which is what WebGPU guarantees.
pub(super) const SLAB: usize = 4;

/// What a workgroup and each of its invocations compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    /// Output channels of a workgroup.
    pub(super) channels: usize,
    /// Pixels of a workgroup.
    pub(super) pixels: usize,
    /// Output channels of an invocation; a multiple of 4.
    pub(super) own_channels: usize,
    /// Pixels of an invocation; a multiple of 4.
    pub(super) own_pixels: usize,
}

const fn tile(channels: usize, pixels: usize, own_channels: usize, own_pixels: usize) -> Tile {
    Tile { channels, pixels, own_channels, own_pixels }
}

/// Every tile, the one that loads least for each product first.
pub(super) static TILES: [Tile; 8] = [
    tile(128, 128, 8, 8),
    tile(64, 128, 8, 8),
    tile(128, 64, 8, 8),
    tile(64, 64, 8, 4),
    tile(32, 64, 8, 4),
    tile(64, 32, 8, 4),
    tile(32, 32, 4, 4),
    tile(16, 64, 4, 4),
];

/// The one that is compiled with every epilogue.
pub(super) const FOR_ALL: Tile = tile(32, 32, 4, 4);

impl Tile {
    /// Invocations of a workgroup.
    pub(super) fn invocations(&self) -> usize {
        self.channels / self.own_channels * (self.pixels / self.own_pixels)
    }

    /// `128x64`: channels and pixels.
    pub(super) fn name(&self) -> String {
        format!("{}x{}", self.channels, self.pixels)
    }

    /// The part that defines `main`.
    pub(super) fn part(&self) -> Part {
        let at = TILES.iter().position(|tile| tile == self).expect("a tile of the list");
        PARTS[at]
    }
}

/// Made once a process: parts live as long as it does.
static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let part = |tile: &Tile| Part { name: format!("gemm_{}", tile.name()).leak(), source: text(tile).leak() };
    TILES.iter().map(part).collect()
});

/// `main`, with one variable for each vec4 of sums: `sum_<pixel>_<four channels>`.
fn text(tile: &Tile) -> String {
    let Tile { channels, pixels, own_channels, own_pixels } = *tile;
    let invocations = tile.invocations();
    let (columns, fours) = (pixels / own_pixels, own_channels / CHANNELS);
    let (filters, images) = (SLAB * channels / invocations, SLAB * pixels / invocations);
    let mut wgsl = Text::default();
    wgsl.line(format_args!(
        "// {channels} channels of {pixels} pixels a workgroup, {own_channels} of {own_pixels} an invocation.
const TILE_CHANNELS: u32 = {channels}u;
const TILE_PIXELS: u32 = {pixels}u;
const TILE_COLUMNS: u32 = {columns}u;
const SLAB: u32 = {SLAB}u;

var<workgroup> filters: array<vec4<f32>, {filters_len}>;
var<workgroup> image: array<vec4<f32>, {image_len}>;

@compute @workgroup_size({invocations})
fn main(
    @builtin(local_invocation_index) own: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {{
    let tile = tile_at(group_index(group, groups));
    if (!tile.exists) {{
        return;
    }}
    let column = own % {columns}u;
    let row = own / {columns}u;
    let at = corner(tile.first_pixel + own % TILE_PIXELS, tile);
    var product = advance(Product(0u, 0u, 0u), own / TILE_PIXELS, tile.in_blocks);
    var filter_at = tile.filters + own;",
        filters_len = SLAB * channels,
        image_len = SLAB * pixels,
    ));
    for (pixel, four) in grid(own_pixels, fours) {
        wgsl.line(format_args!("    var sum_{pixel}_{four} = vec4<f32>();"));
    }
    let step = invocations / pixels;
    let loads = |wgsl: &mut Text, declare: &str, indent: &str| {
        for i in 0..filters {
            wgsl.line(format_args!(
                "{indent}{declare}filter_{i} = from_memory(weights[filter_at + {}u]);",
                i * invocations
            ));
        }
        for i in 0..images {
            let product = match i {
                0 => "product".to_string(),
                _ => format!("advance(product, {}u, tile.in_blocks)", i * step),
            };
            wgsl.line(format_args!("{indent}{declare}image_{i} = input_at(at, {product});"));
        }
    };
    loads(&mut wgsl, "var ", "    ");
    wgsl.line(format_args!("    for (var slab = 1u; slab <= tile.slabs; slab++) {{\n        workgroupBarrier();"));
    for i in 0..filters {
        wgsl.line(format_args!("        filters[own + {}u] = filter_{i};", i * invocations));
    }
    for i in 0..images {
        wgsl.line(format_args!("        image[own + {}u] = image_{i};", i * invocations));
    }
    // The next slab is on its way while this one is computed.
    wgsl.line(format_args!(
        "        workgroupBarrier();
        if (slab < tile.slabs) {{
            filter_at += {}u;
            product = advance(product, SLAB, tile.in_blocks);",
        SLAB * channels
    ));
    loads(&mut wgsl, "", "            ");
    wgsl.line(format_args!(
        "        }}
        for (var four = 0u; four < SLAB; four++) {{
            let image_at = four * TILE_PIXELS + column;
            let filters_at = four * TILE_CHANNELS + row * {fours}u;"
    ));
    for pixel in 0..own_pixels {
        wgsl.line(format_args!("            let in_{pixel} = image[image_at + {}u];", pixel * columns));
    }
    for (at, component) in "xyzw".chars().enumerate() {
        for four in 0..fours {
            let ahead = at * channels / CHANNELS + four;
            wgsl.line(format_args!("            let w_{component}_{four} = filters[filters_at + {ahead}u];"));
        }
        for (pixel, four) in grid(own_pixels, fours) {
            wgsl.line(format_args!("            sum_{pixel}_{four} += in_{pixel}.{component} * w_{component}_{four};"));
        }
    }
    wgsl.line(format_args!("        }}\n    }}"));
    for (part, four) in grid(own_pixels / 4, fours) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|pixel| format!("sum_{}_{four}", part * 4 + pixel));
        wgsl.line(format_args!(
            "    store_sums_of_four({a}, {b}, {c}, {d}, tile, tile.first_block + row * {fours}u + {four}u, \
             tile.first_pixel + column + {}u);",
            part * 4 * columns
        ));
    }
    wgsl.line(format_args!("}}"));
    wgsl.into_string()
}
