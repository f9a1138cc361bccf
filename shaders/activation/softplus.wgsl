// ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|)): it cannot overflow.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(x, 0.0, x < 0.0) + log1p(exp(-abs(x)));
}

// ln(1 + t) for 0 <= t <= 1 as 2 artanh(s), s = t / (2 + t) <= 1/3: eight terms of the series, cut off below 2e-8 relative.
fn log1p(t: f32) -> f32 {
    let s = t / (2.0 + t);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0
        + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0)))))));
    return 2.0 * s * series;
}
