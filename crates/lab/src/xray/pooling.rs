//! What maxima over windows choose: which tap wins, how evenly, how often two share the victory, and whether another image
//! makes another one win. Where the winner never changes, a maximum pool is a selection, which is linear.

use reluctor::ops::window::Window;
use reluctor::ops::{Pool, PoolKind};
use serde::Serialize;

/// Winners of one layer's windows.
#[derive(Debug, Clone)]
pub struct Winners {
    window: Window,
    wins: Vec<u64>,
    windows: u64,
    ties: u64,
    compared: u64,
    changed: u64,
}

/// The summary of one layer.
#[derive(Debug, Clone, Serialize)]
pub struct PoolingReport {
    /// Of the winning tap over all windows, channels and images, in bits.
    pub winner_entropy_bits: f64,
    /// What it would be if all taps won as often: log2 of the window's taps.
    pub most_bits: f64,
    /// Of windows, the share whose winner is another tap for the pair's other image.
    pub changed_share: f64,
    /// Of windows, the share in which two taps or more are the largest; the first one wins.
    pub tie_share: f64,
    /// Windows seen, ties, windows of pairs, and winners that changed.
    pub counts: [u64; 4],
}

impl Winners {
    /// Of a pool; none unless it takes maxima.
    pub fn new(pool: &Pool) -> Option<Self> {
        let taps = pool.taps();
        let counted = pool.kind == PoolKind::Max;
        counted.then(|| Winners {
            window: pool.window,
            wins: vec![0; taps],
            windows: 0,
            ties: 0,
            compared: 0,
            changed: 0,
        })
    }

    /// Adds the images of a batch and those that they are paired with; `[planes, h, w]`, pooled to `out`.
    pub fn add(&mut self, x: &[f32], y: &[f32], image: [usize; 2], out: [usize; 2]) {
        let plane = image[0] * image[1];
        for (x, y) in x.chunks(plane).zip(y.chunks(plane)) {
            for place in (0..out[0]).flat_map(|oy| (0..out[1]).map(move |ox| [oy, ox])) {
                let ((winner, ties), (other, _)) = (self.winner(x, image, place), self.winner(y, image, place));
                self.wins[winner] += 1;
                self.windows += 1;
                self.ties += u64::from(ties);
                self.compared += 1;
                self.changed += u64::from(winner != other);
            }
        }
    }

    fn winner(&self, plane: &[f32], image: [usize; 2], place: [usize; 2]) -> (usize, bool) {
        winner(&self.window, image, place, |at| plane[at])
    }

    /// All of it in shares.
    pub fn report(&self) -> PoolingReport {
        let of = |count: u64, all: u64| if all == 0 { 0.0 } else { count as f64 / all as f64 };
        let shares = self.wins.iter().map(|&wins| of(wins, self.windows)).filter(|&share| share > 0.0);
        PoolingReport {
            winner_entropy_bits: shares.map(|share| -share * share.log2()).sum::<f64>().max(0.0),
            most_bits: (self.wins.len() as f64).log2(),
            changed_share: of(self.changed, self.compared),
            tie_share: of(self.ties, self.windows),
            counts: [self.windows, self.ties, self.compared, self.changed],
        }
    }
}

/// The places in a plane of the taps of a window that lie inside the image, with each tap's number.
pub fn taps(window: &Window, image: [usize; 2], place: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    let window = *window;
    let [k_h, k_w] = window.kernel;
    (0..k_h).flat_map(move |ky| (0..k_w).map(move |kx| [ky, kx])).filter_map(move |[ky, kx]| {
        let [iy, ix] = window.source(place, [ky, kx]).map(usize::try_from);
        let (iy, ix) = (iy.ok().filter(|&y| y < image[0])?, ix.ok().filter(|&x| x < image[1])?);
        Some((ky * k_w + kx, iy * image[1] + ix))
    })
}

/// The first tap that holds the largest element of a window, and whether another one holds it too.
fn winner(window: &Window, image: [usize; 2], place: [usize; 2], element: impl Fn(usize) -> f32) -> (usize, bool) {
    let mut best: Option<(usize, f32)> = None;
    let mut tie = false;
    for (tap, at) in taps(window, image, place) {
        let x = element(at);
        match best {
            Some((_, most)) if x == most => tie = true,
            Some((_, most)) if x < most => {}
            _ => (best, tie) = (Some((tap, x)), false),
        }
    }
    (best.map_or(0, |(tap, _)| tap), tie)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halving() -> Pool {
        let window = Window { kernel: [2, 2], stride: [2, 2], ..Window::pointwise() };
        Pool { kind: PoolKind::Max, window, ceil: false }
    }

    #[test]
    fn winners_ties_and_changes_are_counted() {
        let mut winners = Winners::new(&halving()).unwrap();
        let x = [1.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 7.0];
        let y = [0.0, 2.0, 0.0, 0.0, 5.0, 0.0, 0.0, 7.0];
        winners.add(&x, &y, [2, 4], [1, 2]);
        let report = winners.report();
        // The first window's winner moves from its third tap (5) to its third (5): the second window's stays at its last.
        assert_eq!(report.counts, [2, 0, 2, 0]);
        winners.add(&[1.0, 1.0, 0.0, 0.0], &[0.0, 1.0, 0.0, 0.0], [2, 2], [1, 1]);
        assert_eq!(winners.report().counts, [3, 1, 3, 1]);
    }

    #[test]
    fn the_entropy_is_that_of_the_winning_tap() {
        let mut winners = Winners::new(&halving()).unwrap();
        for tap in 0..4 {
            let plane: Vec<f32> = (0..4).map(|at| f32::from(u8::from(at == tap))).collect();
            winners.add(&plane, &plane, [2, 2], [1, 1]);
        }
        assert_eq!((winners.report().winner_entropy_bits, winners.report().most_bits), (2.0, 2.0));
    }

    #[test]
    fn taps_in_the_padding_never_win() {
        let pads = reluctor::ops::window::Pads { top: 1, left: 1, ..Default::default() };
        let window = Window { kernel: [2, 2], pads, ..Window::pointwise() };
        assert_eq!(taps(&window, [2, 2], [0, 0]).collect::<Vec<_>>(), [(3, 0)]);
    }
}
