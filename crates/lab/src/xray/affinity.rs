//! How far a function is from affine: additivity and homogeneity defects, each beside what rounding alone could make.
//!
//! With `f0 = f(0)`, an affine function satisfies, exactly,
//!
//! ```text
//! additivity    f(x + y) - f(x) - f(y) + f0       = 0
//! homogeneity   f(a x) - f0 - a (f(x) - f0)       = 0   for every a
//! ```
//!
//! and one that is positively homogeneous satisfies the second for a > 0 alone. Defects are sums of magnitudes over elements
//! and pairs, relative to the sum of the magnitudes of the terms: 0 where the terms cancel, at most 1. The floor is the same
//! ratio with each term's certified rounding bound ([`reluctor::bound`]) in the place of the defect. The verdict compares element
//! by element: a property holds where no defect exceeds its floor, and every element has one: what is infinite or not a number
//! at any of the points, as 1 / x is at zero, is not affine.

use rayon::prelude::*;
use serde::Serialize;

/// The factor above 0 that homogeneity is tested with. Not a power of two, by which floats scale exactly.
pub const UP: f32 = 1.5;

/// The factor below 0.
pub const DOWN: f32 = -1.0;

/// What a function is, by the rounding floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Additive, and homogeneous for factors of either sign.
    Affine,
    /// Homogeneous for positive factors, and no more: its graph is a cone, as Relu's and a maximum's.
    PositivelyHomogeneous,
    /// Neither.
    Nonlinear,
}

impl Verdict {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Affine => "affine",
            Verdict::PositivelyHomogeneous => "positively_homogeneous",
            Verdict::Nonlinear => "nonlinear",
        }
    }
}

/// Something known of the six points at which a function is tried: values, or bounds of their errors.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Points<A> {
    pub x: A,
    pub y: A,
    /// At x + y.
    pub sum: A,
    /// At 0.
    pub zero: A,
    /// At [`UP`] x.
    pub up: A,
    /// At [`DOWN`] x.
    pub down: A,
}

impl<A> Points<A> {
    /// The same of each.
    pub fn map<'a, B>(&'a self, f: impl Fn(&'a A) -> B) -> Points<B> {
        let Points { x, y, sum, zero, up, down } = self;
        Points { x: f(x), y: f(y), sum: f(sum), zero: f(zero), up: f(up), down: f(down) }
    }

    /// The same of each, which may fail.
    ///
    /// # Errors
    /// The first of them.
    pub fn try_map<'a, B, E>(&'a self, mut f: impl FnMut(&'a A) -> Result<B, E>) -> Result<Points<B>, E> {
        let Points { x, y, sum, zero, up, down } = self;
        Ok(Points { x: f(x)?, y: f(y)?, sum: f(sum)?, zero: f(zero)?, up: f(up)?, down: f(down)? })
    }

    /// All of them, in order.
    pub fn each(&self) -> [&A; 6] {
        let Points { x, y, sum, zero, up, down } = self;
        [x, y, sum, zero, up, down]
    }
}

/// One property, over many elements.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    defect: f64,
    terms: f64,
    floor: f64,
    worst: f64,
    /// Elements without a defect or a floor: where the function is infinite or not a number.
    unknown: u64,
}

impl Tally {
    fn add(&mut self, defect: f64, terms: f64, floor: f64) {
        if ![defect, terms, floor].into_iter().all(f64::is_finite) {
            self.unknown += 1;
            return;
        }
        self.defect += defect.abs();
        self.terms += terms;
        self.floor += floor;
        if defect != 0.0 {
            self.worst = self.worst.max(defect.abs() / floor);
        }
    }

    fn join(self, other: Tally) -> Tally {
        Tally {
            defect: self.defect + other.defect,
            terms: self.terms + other.terms,
            floor: self.floor + other.floor,
            worst: self.worst.max(other.worst),
            unknown: self.unknown + other.unknown,
        }
    }

    /// The defect, relative to the terms: 0 to 1.
    pub fn defect(&self) -> f64 {
        relative(self.defect, self.terms)
    }

    /// What rounding alone could make of it, relative to the terms.
    pub fn floor(&self) -> f64 {
        relative(self.floor, self.terms)
    }

    /// The largest defect of an element as a multiple of that element's floor.
    pub fn of_floor(&self) -> f64 {
        self.worst
    }

    /// Whether every element has a defect, and none exceeds its floor.
    pub fn holds(&self) -> bool {
        self.worst <= 1.0 && self.unknown == 0
    }
}

/// Nothing is nothing of anything.
fn relative(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

/// All three properties of one function.
#[derive(Debug, Clone, Copy, Default)]
pub struct Affinity {
    /// `f(x + y) = f(x) + f(y) - f(0)`
    pub additivity: Tally,
    /// Homogeneity for [`UP`].
    pub up: Tally,
    /// Homogeneity for [`DOWN`].
    pub down: Tally,
}

impl Affinity {
    /// Adds the elements of one pair, or of one batch of pairs; all slices are as long.
    pub fn add(&mut self, values: &Points<&[f64]>, bounds: &Points<&[f64]>) {
        const RUN: usize = 1 << 14;
        let count = values.x.len();
        let starts: Vec<usize> = (0..count).step_by(RUN).collect();
        let part = |&start: &usize| {
            let end = (start + RUN).min(count);
            let mut affinity = Affinity::default();
            (start..end).for_each(|index| affinity.element(&values.map(|v| v[index]), &bounds.map(|b| b[index])));
            affinity
        };
        *self = starts.par_iter().map(part).collect::<Vec<_>>().into_iter().fold(*self, Affinity::join);
    }

    fn element(&mut self, value: &Points<f64>, bound: &Points<f64>) {
        let Points { x, y, sum, zero, up, down } = *value;
        let terms = sum.abs() + x.abs() + y.abs() + zero.abs();
        self.additivity.add(sum - x - y + zero, terms, bound.sum + bound.x + bound.y + bound.zero);
        for (tally, factor, value, error) in
            [(&mut self.up, f64::from(UP), up, bound.up), (&mut self.down, f64::from(DOWN), down, bound.down)]
        {
            let terms = value.abs() + zero.abs() + factor.abs() * (x.abs() + zero.abs());
            let floor = error + bound.zero * (1.0 + factor.abs()) + factor.abs() * bound.x;
            tally.add(value - zero - factor * (x - zero), terms, floor);
        }
    }

    /// Of what either saw.
    pub fn join(self, other: Affinity) -> Affinity {
        Affinity {
            additivity: self.additivity.join(other.additivity),
            up: self.up.join(other.up),
            down: self.down.join(other.down),
        }
    }

    /// What the function is.
    pub fn verdict(&self) -> Verdict {
        match (self.additivity.holds(), self.up.holds(), self.down.holds()) {
            (true, true, true) => Verdict::Affine,
            (_, true, _) => Verdict::PositivelyHomogeneous,
            _ => Verdict::Nonlinear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(f: impl Fn(f64) -> f64, error: f64) -> Verdict {
        let mut affinity = Affinity::default();
        for (x, y) in [(1.0, -3.0), (0.25, 2.0), (-1.5, -0.5)] {
            let inputs = Points { x, y, sum: x + y, zero: 0.0, up: x * f64::from(UP), down: x * f64::from(DOWN) };
            let (values, bounds) = (inputs.map(|&x| [f(x)]), inputs.map(|_| [error]));
            affinity.add(&values.map(|v| &v[..]), &bounds.map(|b| &b[..]));
        }
        affinity.verdict()
    }

    #[test]
    fn known_functions_get_their_verdict() {
        assert_eq!(judged(|x| 3.0 * x - 1.0, 1e-12), Verdict::Affine);
        assert_eq!(judged(|x| x.max(0.0), 1e-12), Verdict::PositivelyHomogeneous);
        assert_eq!(judged(f64::abs, 1e-12), Verdict::PositivelyHomogeneous);
        assert_eq!(judged(|x| x.max(0.0) + 1.0, 1e-12), Verdict::PositivelyHomogeneous);
        assert_eq!(judged(|x| x.clamp(0.0, 1.25), 1e-12), Verdict::Nonlinear);
        assert_eq!(judged(|x| x * x, 1e-12), Verdict::Nonlinear);
    }

    #[test]
    fn what_is_no_number_at_a_point_is_not_affine() {
        assert_eq!(judged(|x| 1.0 / x, 1e-12), Verdict::Nonlinear);
        assert_eq!(judged(|x| x / x.abs(), 1e-12), Verdict::Nonlinear);
        assert_eq!(judged(|x| x, f64::NAN), Verdict::Nonlinear);
        assert_eq!(judged(|x| x, f64::INFINITY), Verdict::Nonlinear);
    }

    #[test]
    fn a_defect_below_the_floor_is_rounding_and_one_above_is_not() {
        let wavy = |x: f64| x + 1e-6 * x.sin();
        assert_eq!(judged(wavy, 1e-5), Verdict::Affine);
        assert_eq!(judged(wavy, 1e-8), Verdict::Nonlinear);
    }

    #[test]
    fn a_relative_defect_is_at_most_one() {
        let mut affinity = Affinity::default();
        let values = Points { x: [1.0], y: [1.0], sum: [-2.0], zero: [0.0], up: [1.5], down: [1.0] };
        affinity.add(&values.map(|v| &v[..]), &values.map(|_| &[0.0][..]));
        assert_eq!((affinity.additivity.defect(), affinity.up.defect(), affinity.down.defect()), (1.0, 0.0, 1.0));
    }
}
