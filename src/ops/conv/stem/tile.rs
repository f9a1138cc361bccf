//! The tiles of `conv_stem`, and the WGSL of each: its inner loop is written out.

use super::super::subgroup::LANES;
use super::super::text::{Text, grid, store_strip};
use crate::kernels::Part;
use crate::plan::layout::CHANNELS;
use std::sync::LazyLock;

/// Output channels of an invocation.
pub(super) const OWN_CHANNELS: usize = 16;
/// Windows of a pool in an invocation's strip, in one row.
pub(super) const WINDOWS: usize = 4;
/// Windows of a column that an invocation goes down at most.
pub(super) const MOST_ROWS: usize = 14;

/// What an invocation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    /// Taps of a row of the filter; where it does not walk, a longer row is taken in steps of so many, with zeros behind its
    /// last tap.
    pub(super) taps: usize,
    /// The stride along a row.
    pub(super) stride: usize,
    /// Whether it goes down the rows of windows of 3x3 at a stride of 2, which overlap.
    pub(super) walks: bool,
}

const fn tile(taps: usize, stride: usize) -> Tile {
    Tile { taps, stride, walks: false }
}

const fn walk(taps: usize, stride: usize) -> Tile {
    Tile { taps, stride, walks: true }
}

/// Every tile: the first layers of most networks.
pub(super) static TILES: [Tile; 5] = [tile(3, 1), tile(3, 2), tile(7, 2), walk(3, 2), walk(7, 2)];

/// The one that is compiled with every epilogue.
pub(super) const FOR_ALL: Tile = TILES[0];

impl Tile {
    /// Neighbouring pixels of a row.
    pub(super) fn pixels(&self) -> usize {
        if self.walks { 2 * WINDOWS + 1 } else { 8 }
    }

    /// Neighbouring columns of the image that a strip sees.
    pub(super) fn columns(&self) -> usize {
        (self.pixels() - 1) * self.stride + self.taps
    }

    /// The part that defines `main`.
    pub(super) fn part(&self) -> Part {
        let at = TILES.iter().position(|tile| tile == self).expect("a tile of the list");
        PARTS[at]
    }
}

/// Made once a process: parts live as long as it does.
static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let part = |tile: &Tile| {
        let pooled = if tile.walks { "_max3s2" } else { "" };
        let name = format!("row_{}s{}{pooled}", tile.taps, tile.stride).leak();
        Part { name, source: text(tile).leak() }
    };
    TILES.iter().map(part).collect()
});

/// `main`, with one variable for each sum: `sum_<pixel>_<channel>`.
fn text(tile: &Tile) -> String {
    let mut wgsl = Text::default();
    let Tile { taps, stride, .. } = *tile;
    let pixels = tile.pixels();
    let (at, first_ox) = if tile.walks {
        wgsl.line(format_args!("const WINDOWS: u32 = {WINDOWS}u;\nconst MOST_ROWS: u32 = {MOST_ROWS}u;\n"));
        ("windows(own)".to_string(), "i32(at.x * 2u) - p.pool.pad_left")
    } else {
        (format!("strip(own, {pixels}u)"), "i32(at.ox)")
    };
    wgsl.line(format_args!(
        "// {pixels} pixels of a row, {OWN_CHANNELS} channels, {taps} taps at a stride of {stride}.
@compute @workgroup_size({LANES})
fn main(
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {{
    let blocks = (p.count_c + {last}u) / {OWN_CHANNELS}u;
    let index = group_index(group, groups);
    let block = index % blocks;
    let own = index / blocks * {LANES}u + lane;
    let first_block = p.first_c / 4u + block * {fours}u;
    let at = {at};
    let first_ox = {first_ox};
    let first_ix = first_ox * {stride} - p.pad_left;",
        last = OWN_CHANNELS - 1,
        fours = OWN_CHANNELS / CHANNELS,
    ));
    wgsl.line(format_args!(
        "    let steps = (p.k_w + {left}u) / {taps}u;
    var weight_at = block * steps * p.k_h * p.in_c * {fours}u + lane;",
        left = taps - 1,
        fours = taps * OWN_CHANNELS / CHANNELS,
    ));
    if tile.walks {
        columns(&mut wgsl, tile, "first_ix");
        walk_down(&mut wgsl, tile);
    } else {
        clear(&mut wgsl, tile);
        wgsl.line(format_args!("    for (var kx = 0; kx < i32(p.k_w); kx += {taps}) {{"));
        columns(&mut wgsl, tile, "first_ix + kx");
        sums(&mut wgsl, tile, "at.oy");
        wgsl.line(format_args!("    }}"));
        store_strip(&mut wgsl, pixels, OWN_CHANNELS / CHANNELS, "first_block");
    }
    wgsl.line(format_args!("}}"));
    wgsl.into_string()
}

/// Where each column of the image lies that a strip sees from `first` on.
fn columns(wgsl: &mut Text, tile: &Tile, first: &str) {
    for column in 0..tile.columns() {
        wgsl.line(format_args!(
            "    let inside_{column} = inside({first} + {column}, p.in_w);
    let ix_{column} = nearest({first} + {column}, p.in_w);"
        ));
    }
}

/// Sums of nothing yet.
fn clear(wgsl: &mut Text, tile: &Tile) {
    for (pixel, channel) in grid(tile.pixels(), OWN_CHANNELS) {
        wgsl.line(format_args!("    var sum_{pixel}_{channel} = 0.0;"));
    }
}

/// Adds the taps of a step to the sums of a strip in the row `oy`.
fn sums(wgsl: &mut Text, tile: &Tile, oy: &str) {
    let taps = tile.taps;
    let fours = taps * OWN_CHANNELS / CHANNELS;
    wgsl.line(format_args!(
        "    for (var ky = 0u; ky < p.k_h; ky++) {{
        let iy = input_row({oy}, ky);
        let row_inside = inside(iy, p.in_h);
        var row = first_of_row(at.n, iy);
        for (var ic = 0u; ic < p.in_c; ic++) {{"
    ));
    for column in 0..tile.columns() {
        wgsl.line(format_args!(
            "            let in_{column} = select(0.0, input[row + ix_{column}], row_inside && inside_{column});"
        ));
    }
    for part in 0..fours.div_ceil(LANES) {
        wgsl.line(format_args!(
            "            let weights_{part} = from_memory(weights[weight_at + {}u]);",
            part * LANES
        ));
    }
    // All products of one channel before the next: its sums stay in registers, inputs come from the first cache.
    for (channel, tap) in grid(OWN_CHANNELS, taps) {
        let at = tap * OWN_CHANNELS / CHANNELS + channel / CHANNELS;
        let (part, lane) = (at / LANES, at % LANES);
        let component = ["x", "y", "z", "w"][channel % CHANNELS];
        let weight = format!("w_{channel}_{tap}");
        wgsl.line(format_args!("            let {weight} = subgroupBroadcast(weights_{part}.{component}, {lane}u);"));
        for pixel in 0..tile.pixels() {
            let column = pixel * tile.stride + tap;
            wgsl.line(format_args!("            sum_{pixel}_{channel} += {weight} * in_{column};"));
        }
    }
    wgsl.line(format_args!(
        "            row += p.in_h * p.in_w;
            weight_at += {fours}u;
        }}
    }}"
    ));
}

/// Down the rows of a column of windows: `most_<window>_<four channels>` is the largest so far.
fn walk_down(wgsl: &mut Text, tile: &Tile) {
    let fours = OWN_CHANNELS / CHANNELS;
    for pixel in (0..tile.pixels()).step_by(2) {
        wgsl.line(format_args!("    let has_{pixel} = inside(first_ox + {pixel}, p.out_w);"));
    }
    for (window, four) in grid(WINDOWS, fours) {
        wgsl.line(format_args!("    var most_{window}_{four} = vec4<f32>();"));
    }
    wgsl.line(format_args!("    let first_weight = weight_at;\n    let rows = rows_each() * 2u;\n    for (var row = 0u; row <= rows; row++) {{"));
    wgsl.line(format_args!("    weight_at = first_weight;"));
    clear(wgsl, tile);
    sums(wgsl, tile, "pooled_row(at, row)");
    wgsl.line(format_args!("    let ends = row % 2u == 0u;"));
    let vector = |pixel: usize, four: usize| {
        let sums: Vec<String> = (0..CHANNELS).map(|i| format!("sum_{pixel}_{}", four * CHANNELS + i)).collect();
        format!("vec4<f32>({})", sums.join(", "))
    };
    for (window, four) in grid(WINDOWS, fours) {
        let left = 2 * window;
        let [first, second, third] = [left, left + 1, left + 2].map(|pixel| vector(pixel, four));
        let name = format!("{window}_{four}");
        wgsl.line(format_args!(
            "    let row_{name} = largest({first}, has_{left}, {second}, {third}, has_{});
    let whole_{name} = select(take(most_{name}, row_{name}, 1u), row_{name}, row == 0u);
    most_{name} = select(whole_{name}, row_{name}, ends);",
            left + 2
        ));
    }
    wgsl.line(format_args!(
        "    if (ends && row > 0u) {{
        for (var four = 0u; four < {fours}u; four++) {{
            let bias = biases_of(first_block + four);"
    ));
    for window in 0..WINDOWS {
        let whole = |four: usize| format!("whole_{window}_{four}");
        let chosen =
            (1..fours).fold(whole(0), |chosen, four| format!("select({chosen}, {}, four == {four}u)", whole(four)));
        wgsl.line(format_args!("            store_window(bias + {chosen}, at, first_block + four, row, {window}u);"));
    }
    wgsl.line(format_args!("        }}\n    }}\n    }}"));
}
