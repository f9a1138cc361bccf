// x/2 (1 + erf(x / sqrt(2))), by erfc of a number that is never negative. erfc: Abramowitz and Stegun, Handbook of
// Mathematical Functions, formula 7.1.26, off by at most 1.5e-7.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let z = min(abs(x) * 0.70710678, 13.0);
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let half_erfc = 0.5 * series * exp(-z * z);
    return x * select(1.0 - half_erfc, half_erfc, x < 0.0);
}
