//! Curves through the input space along which a piecewise linear network can be solved exactly: on each piece every number in
//! it is a combination of the curve's own functions, whose crossings have a closed form.

use std::f64::consts::TAU;

/// A curve, by the functions that its points are combinations of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `a + t (b - a)`, t from 0 to 1: combinations of 1 and t.
    Segment,
    /// `m + cos(s) u + sin(s) v`, s = 2 pi t: combinations of 1, cos(s) and sin(s).
    Circle,
}

impl Curve {
    /// How many functions there are.
    pub fn functions(self) -> usize {
        match self {
            Curve::Segment => 2,
            Curve::Circle => 3,
        }
    }

    /// A combination of the functions at t, from 0 to 1.
    pub fn at(self, t: f64, coefficient: impl Fn(usize) -> f64) -> f64 {
        match self {
            Curve::Segment => coefficient(0) + t * coefficient(1),
            Curve::Circle => {
                let (sin, cos) = (TAU * t).sin_cos();
                coefficient(0) + cos * coefficient(1) + sin * coefficient(2)
            }
        }
    }

    /// Where a combination equals a level strictly between two t, in no order; none where it does so everywhere. What varies by
    /// no more than `noise` is constant: else rounding itself would cross.
    pub fn crossings(
        self,
        level: f64,
        noise: f64,
        (start, end): (f64, f64),
        coefficient: impl Fn(usize) -> f64,
    ) -> [Option<f64>; 2] {
        if (1..self.functions()).all(|function| coefficient(function).abs() <= noise) {
            return [None, None];
        }
        let inside = |t: f64| (t > start && t < end).then_some(t);
        let (constant, first) = (coefficient(0) - level, coefficient(1));
        match self {
            Curve::Segment => [inside(-constant / first), None],
            Curve::Circle => {
                let second = coefficient(2);
                let reach = first.hypot(second);
                if reach == 0.0 || constant.abs() > reach {
                    return [None, None];
                }
                let (middle, half) = (second.atan2(first), (-constant / reach).acos());
                [middle - half, middle + half].map(|angle| inside((angle / TAU).rem_euclid(1.0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_lie_on_their_level() {
        let (line, wave) = ([-1.0, 4.0], [0.5, -1.0, 2.0]);
        assert_eq!(Curve::Segment.crossings(0.0, 0.0, (0.0, 1.0), |i| line[i]), [Some(0.25), None]);
        assert_eq!(Curve::Segment.crossings(0.0, 0.0, (0.3, 1.0), |i| line[i]), [None, None]);
        let both = Curve::Circle.crossings(1.0, 0.0, (0.0, 1.0), |i| wave[i]);
        assert!(both[0] != both[1]);
        for t in both.into_iter().map(Option::unwrap) {
            assert!((Curve::Circle.at(t, |i| wave[i]) - 1.0).abs() < 1e-12, "{t}");
        }
        assert_eq!(Curve::Segment.crossings(0.0, 5.0, (0.0, 1.0), |i| line[i]), [None, None]);
        assert_eq!(Curve::Circle.crossings(9.0, 0.0, (0.0, 1.0), |i| wave[i]), [None, None]);
    }
}
