//! How far a device's activation may lie from the exact one: what it makes of its input's error, and its own rounding.

use super::activation::{Activation, clamp, gelu_tanh_argument};
use crate::bound::{FLUSH, U, flushed};
use Activation::*;

impl Activation {
    /// How far the device's result may lie from the exact one at `x`, where its input is off by at most `error`:
    /// the input's error grows by the Lipschitz constant, and the WGSL function adds its own rounding.
    pub fn error_bound(&self, x: f64, slope: f64, error: f64) -> f64 {
        let error = error + flushed(x);
        let y = self.apply(x, slope);
        if let ThresholdedRelu { .. } = self {
            // The one discontinuous activation: within reach of the step, either side is right.
            let [low, high] = [self.apply(x - error, slope), self.apply(x + error, slope)];
            return (y - low).abs().max((high - y).abs()) + U * y.abs() + FLUSH;
        }
        let carried = self.lipschitz(x, slope, error) * error;
        carried + self.rounding(x, error, y.abs() + carried) + self.flush(x, slope)
    }

    /// The largest slope within `error` of `x`, or a little more: what saturates carries little of an error. Smooth maxima,
    /// rounded up: Mish 1.0888, GELU 1.1290, SiLU 1.0999.
    fn lipschitz(&self, x: f64, slope: f64, error: f64) -> f64 {
        let (near, far) = ((x.abs() - error).max(0.0), x.abs() + error);
        // The slope on the negative side and 1 on the positive one.
        let sided = |negative: f64| match x {
            x if x < -error => negative.abs(),
            x if x > error => 1.0,
            _ => negative.abs().max(1.0),
        };
        // Far on the negative side slopes are an exponential times a polynomial, and never above the maximum.
        let decaying = |most: f64, exponential: f64, polynomial: f64| match x < -error {
            true if exponential == 0.0 => 0.0,
            true => most.min(exponential * polynomial),
            false => most,
        };
        let exponential = (-near).exp();
        match *self {
            Relu => sided(0.0),
            PRelu => sided(slope),
            LeakyRelu { alpha } => sided(f64::from(alpha)),
            Elu { alpha } => sided(f64::from(alpha) * exponential),
            Selu { alpha, gamma } => f64::from(gamma).abs() * sided(f64::from(alpha) * exponential),
            // For alpha < 0 the negative side grows exponentially.
            Celu { alpha } if alpha < 0.0 => ((x - error).min(0.0) / f64::from(alpha)).exp().max(1.0),
            Celu { alpha } => sided((-near / f64::from(alpha)).exp()),
            Clip { min, max } if x + error < f64::from(min.min(max)) || x - error > f64::from(max) => 0.0,
            HardSigmoid { alpha, beta } => {
                let [alpha, beta] = [alpha, beta].map(f64::from);
                let moves = clamped_shift(alpha * x + beta, alpha.abs() * error) > 0.0;
                if moves || error == 0.0 { alpha.abs() } else { 0.0 }
            }
            HardSwish if near > 3.0 => sided(0.0),
            HardSwish => 1.5,
            Sigmoid => exponential / (1.0 + exponential).powi(2),
            Tanh => near.cosh().powi(-2),
            Softplus => sided(exponential),
            Softsign => (1.0 + near).powi(-2),
            Mish => decaying(1.09, exponential, 1.0 + far),
            Gelu => decaying(1.13, (-near * near / 2.0).exp(), 0.5 + 0.4 * far),
            GeluTanh => decaying(1.13, (-2.0 * gelu_tanh_argument(near)).exp(), 1.0 + far * (1.6 + 0.22 * far * far)),
            Swish { alpha } if alpha > 0.0 => {
                let alpha = f64::from(alpha);
                decaying(1.1, (-alpha * near).exp(), 1.0 + alpha * far)
            }
            Swish { .. } => 1.1,
            _ => 1.0,
        }
    }

    /// Rounding of the WGSL function itself at a number within `error` of x, given |y|, in absolute terms. From WGSL's
    /// accuracy table: `+ - *` correctly rounded (U each), division 2.5 ULP (5 U), exp 3 + 2|x| ULP (6 + 4|x| U); the
    /// polynomials for expm1 and log1p are good to 16 U (see their files).
    fn rounding(&self, x: f64, error: f64, y: f64) -> f64 {
        let (near, far) = ((x.abs() - error).max(0.0), x.abs() + error);
        // Where an exponential vanishes, so does what its error does, however large that is relative to it.
        let vanishing = |relative: f64, magnitude: f64| if magnitude == 0.0 { 0.0 } else { relative * magnitude };
        // An exponential t of -|v| beside 1: for v > 0 its error counts as much as t does, for v < 0 it counts in full.
        let gate = |v: f64, error: f64, relative: f64| {
            if v > error { vanishing(relative, (error - v).exp()) } else { 2.0 * relative }
        };
        let relative = |rounding: f64| vanishing(rounding * U, y);
        match *self {
            Identity | Relu | Clip { .. } | ThresholdedRelu { .. } => 0.0,
            LeakyRelu { .. } | PRelu => U * y,
            // Below -0.35 exp's error is divided by at least 0.29: 18 U.
            Elu { .. } | Selu { .. } => relative(26.0),
            // x / alpha is rounded before the exponential, which magnifies it where alpha < 0.
            Celu { alpha } if alpha > 0.0 || x > error => relative(32.0),
            // The exponential may overflow where its product with a small alpha would not.
            Celu { alpha } if far / f64::from(alpha).abs() > f64::from(f32::MAX).ln() - 1e-3 => f64::INFINITY,
            Celu { alpha } => relative(34.0 + 10.0 * far / f64::from(alpha).abs()),
            HardSigmoid { alpha, beta } => {
                let [alpha, beta] = [alpha, beta].map(f64::from);
                let off = 2.0 * U * (alpha.abs() * far + beta.abs());
                off.min(clamped_shift(alpha * x + beta, off + alpha.abs() * error))
            }
            HardSwish => {
                let off = U * (far + 0.5);
                vanishing(far, off.min(clamped_shift(x / 6.0 + 0.5, off + error / 6.0))) + 2.0 * U * y
            }
            Sigmoid => relative(14.0 + gate(x, error, 6.0 + 4.0 * far)),
            Tanh => relative(64.0),
            Softplus => 4.0 * U * y + vanishing((24.0 + 4.0 * far) * U, (-near).exp().ln_1p()),
            Softsign => relative(8.0),
            Mish => relative(16.0 + 2.0 * gate(x, error, 6.0 + 4.0 * far)),
            // Abramowitz and Stegun 7.1.26 is good to 1.5e-7 in erf, and to 0.16 of erfc; its polynomial rounds within 86 U
            // of erfc, its exponential of z^2 within (6 + 9 z^2) U.
            Gelu => {
                let erfc = libm::erfc(near / std::f64::consts::SQRT_2);
                let series = f64::min(1.5e-7, 0.2 * erfc);
                let evaluation = f64::min(48.0 * U, vanishing((92.0 + 5.0 * far * far) * U, erfc));
                vanishing(0.5 * far, series + evaluation) + 4.0 * U * y
            }
            GeluTanh => {
                let [v, far] = [x, far].map(|x| 2.0 * gelu_tanh_argument(x));
                let error = far - v.abs();
                relative(12.0 + gate(v, error, 6.0 + 12.0 * far))
            }
            Swish { alpha } => {
                let alpha = f64::from(alpha);
                relative(12.0 + gate(alpha * x, alpha.abs() * error, 6.0 + 6.0 * alpha.abs() * far))
            }
        }
    }

    /// What flushing to zero may cost inside of the WGSL function: a subnormal exponential, which x multiplies later.
    fn flush(&self, x: f64, slope: f64) -> f64 {
        // Beyond -88 exponentials are subnormal, beyond -104 they are zero.
        let factor = match *self {
            Mish | Gelu | GeluTanh => x.abs().min(128.0),
            Swish { alpha } => x.abs().min(128.0 / f64::from(alpha).abs()),
            Elu { alpha } | Celu { alpha } => f64::from(alpha).abs(),
            Selu { alpha, gamma } => f64::from(gamma).abs() * (1.0 + f64::from(alpha).abs()),
            _ => 0.0,
        };
        2.0 * FLUSH * (1.0 + factor) + if *self == PRelu { x.abs() * flushed(slope) } else { 0.0 }
    }
}

/// How far a number clamped to 0 .. 1 may move where it moves by `off` before.
fn clamped_shift(x: f64, off: f64) -> f64 {
    let [low, here, high] = [x - off, x, x + off].map(|x| clamp(x, 0.0, 1.0));
    (here - low).max(high - here)
}

#[cfg(test)]
mod tests {
    use super::super::activation::ACTIVATIONS;
    use super::*;

    #[test]
    fn the_f32_formula_lies_within_the_error_bound() {
        for activation in ACTIVATIONS {
            for step in -4000..4000 {
                let x = step as f32 * 0.005;
                let exact: f64 = activation.apply(f64::from(x), 0.25);
                let error = (f64::from(activation.apply(x, 0.25f32)) - exact).abs();
                assert!(error <= activation.error_bound(f64::from(x), 0.25, 0.0), "{activation:?} at {x}: {error}");
            }
        }
    }

    #[test]
    fn slopes_never_exceed_the_lipschitz_constant() {
        let step = 1e-3;
        for activation in ACTIVATIONS.iter().filter(|a| !matches!(a, ThresholdedRelu { .. })) {
            for index in -8000..8000 {
                let x = f64::from(index) * step;
                let rise: f64 = activation.apply(x + step, 0.25) - activation.apply(x, 0.25);
                assert!(rise.abs() <= activation.lipschitz(x, 0.25, step) * step * 1.000_001, "{activation:?} at {x}");
            }
        }
    }

    #[test]
    fn what_saturates_has_a_tight_bound() {
        for activation in [Sigmoid, Tanh, Softsign, HardSigmoid { alpha: 0.2, beta: 0.5 }, Clip { min: -1.0, max: 1.0 }]
        {
            let bound = activation.error_bound(1e6, 0.0, 0.1);
            assert!(bound < 1e-5, "{activation:?}: {bound}");
        }
        for activation in [Gelu, GeluTanh, Mish, Relu, Swish { alpha: 1.0 }, HardSwish] {
            let bound = activation.error_bound(-1e6, 0.0, 0.1);
            assert!(bound < 1e-30, "{activation:?}: {bound}");
        }
    }

    #[test]
    fn an_exponential_that_overflows_before_it_is_scaled_may_be_infinite() {
        let celu = Celu { alpha: -0.25 };
        let [finite, overflows] = [-22.0, -22.19f64];
        assert!(celu.error_bound(finite, 0.0, 0.0).is_finite());
        assert!(celu.apply(overflows, 0.0).abs() < f64::from(f32::MAX), "the exact one is finite");
        assert_eq!(celu.error_bound(overflows, 0.0, 0.0), f64::INFINITY);
    }

    /// All of the exact result may then be missing.
    #[test]
    fn a_factor_that_a_device_flushes_to_zero_is_within_the_bound() {
        for (activation, x) in
            [(GeluTanh, -10.024_91f64), (Swish { alpha: 1.0 }, -88.0), (Swish { alpha: 0.05 }, -1_760.0), (Mish, -90.0)]
        {
            let y: f64 = activation.apply(x, 0.0).abs();
            assert!(y > FLUSH && y <= activation.error_bound(x, 0.0, 0.0), "{activation:?} of {x} is {y:e}");
        }
    }
}
