//! How cost grows with batch, image size or channels: `time = c * size^k`, fitted where it is straight on logarithmic axes.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Images at once.
    Batch,
    /// Rows and columns of the image.
    Size,
    /// Channels, in and out.
    Channels,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::Batch => "batch",
            Axis::Size => "size",
            Axis::Channels => "channels",
        })
    }
}

/// `batch=1,2,4,8`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// What grows.
    pub axis: Axis,
    /// Through which sizes, in order.
    pub sizes: Vec<usize>,
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected batch=, size= or channels= and two sizes or more, for example batch=1,2,4".to_string();
        let (axis, sizes) = text.split_once('=').ok_or_else(expected)?;
        let axis = [Axis::Batch, Axis::Size, Axis::Channels].into_iter().find(|known| known.to_string() == axis);
        let size = |text: &str| text.parse().ok().filter(|size| (1..1usize << 31).contains(size));
        let mut sizes: Vec<usize> = sizes.split(',').map(size).collect::<Option<_>>().ok_or_else(expected)?;
        sizes.sort_unstable();
        sizes.dedup();
        match axis {
            Some(axis) if sizes.len() >= 2 => Ok(Sweep { axis, sizes }),
            _ => Err(expected()),
        }
    }
}

/// One size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The size.
    pub size: usize,
    /// Median wall clock of a run.
    pub ms: f64,
    /// Bytes of device buffers.
    pub memory: u64,
    /// Arithmetic.
    pub flops: u64,
    /// The least time that the roofs allow, in percent of the time it took.
    pub percent_of_roof: f64,
}

/// What all sizes together say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// What grew.
    pub axis: Axis,
    /// The sizes in order.
    pub points: Vec<Point>,
    /// k of `time = c * size^k`, by least squares over all points.
    pub exponent: f64,
    /// Where two straight lines fit much better than one.
    pub bend: Option<Bend>,
}

/// A change of the exponent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bend {
    /// The size at which it changes.
    pub at: usize,
    /// The exponent up to there.
    pub before: f64,
    /// The exponent from there on.
    pub after: f64,
}

/// Exponents closer than this are one: less than what a measurement repeats.
const LIKE: f64 = 0.25;

/// Two lines must leave less than this part of one line's squared error.
const BETTER: f64 = 0.25;

impl Growth {
    /// Fits the points, which must be in order of size, two at least.
    pub fn of(axis: Axis, points: Vec<Point>) -> Self {
        let log: Vec<[f64; 2]> = points.iter().map(|point| [(point.size as f64).ln(), point.ms.ln()]).collect();
        let (exponent, error) = line(&log);
        // Both lines share the point where they meet, and each has another two.
        let bends = (2..log.len().saturating_sub(2)).map(|at| {
            let ([before, e1], [after, e2]) = (<[f64; 2]>::from(line(&log[..=at])), <[f64; 2]>::from(line(&log[at..])));
            (e1 + e2, Bend { at: points[at].size, before, after })
        });
        let best = bends.min_by(|a, b| a.0.total_cmp(&b.0));
        let bend = best.filter(|(rest, bend)| *rest < BETTER * error && (bend.after - bend.before).abs() > LIKE);
        Growth { axis, points, exponent, bend: bend.map(|(_, bend)| bend) }
    }
}

/// Slope and squared error of the line through some points, by least squares.
fn line(points: &[[f64; 2]]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |at: usize| points.iter().map(|point| point[at]).sum::<f64>() / count;
    let (x, y) = (mean(0), mean(1));
    let xy: f64 = points.iter().map(|point| (point[0] - x) * (point[1] - y)).sum();
    let xx: f64 = points.iter().map(|point| (point[0] - x).powi(2)).sum();
    let slope = xy / xx;
    (slope, points.iter().map(|point| (point[1] - y - slope * (point[0] - x)).powi(2)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(time: impl Fn(f64) -> f64) -> Growth {
        let point = |size: usize| {
            let ms = time(size as f64);
            Point { size, ms, memory: 0, flops: 0, percent_of_roof: 0.0 }
        };
        Growth::of(Axis::Size, [8, 16, 32, 64, 128, 256, 512].map(point).to_vec())
    }

    #[test]
    fn a_power_has_its_exponent_and_no_bend() {
        let square = growth(|size| 3e-4 * size * size);
        assert!((square.exponent - 2.0).abs() < 1e-9 && square.bend.is_none(), "{square:?}");
    }

    #[test]
    fn where_a_constant_cost_ends_is_the_bend() {
        let bent = growth(|size| if size <= 64.0 { 5.0 } else { 5.0 * (size / 64.0).powi(2) });
        let bend = bent.bend.unwrap();
        assert!(bend.at == 64 && bend.before.abs() < 1e-9 && (bend.after - 2.0).abs() < 1e-9, "{bend:?}");
    }

    #[test]
    fn a_sweep_names_an_axis_and_sizes() {
        assert_eq!("batch=4,1,2".parse(), Ok(Sweep { axis: Axis::Batch, sizes: vec![1, 2, 4] }));
        for text in ["batch", "batch=", "batch=1", "depth=1,2", "size=0,2", "size=a,b"] {
            assert!(text.parse::<Sweep>().is_err(), "{text}");
        }
    }
}
