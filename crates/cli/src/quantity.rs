//! Numbers and names for people.

use reluctor::error::escape;

/// `1.5 MiB`; exact below 1 KiB.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// `7.5 MFLOP`; one multiply-add is 2.
pub fn flops(flops: u64) -> String {
    scaled(flops, 1000.0, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"])
}

fn scaled(number: u64, step: f64, units: &[&str]) -> String {
    let (mut value, mut unit) = (number as f64, 0);
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if unit == 0 { format!("{number} {}", units[0]) } else { format!("{value:.1} {}", units[unit]) }
}

/// `10,000`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let separated = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(separated).collect()
}

/// `1.23 ms`, `12.3 s`: three digits where there are any.
pub fn milliseconds(ms: f64) -> String {
    let (value, unit) = if ms >= 1000.0 { (ms / 1000.0, "s") } else { (ms, "ms") };
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {unit}")
}

/// A name of at most so many characters, escaped. The end tells layers apart.
pub fn shortened(name: &str, most: usize) -> String {
    let name = escape(name);
    let length = name.chars().count();
    if length <= most { name } else { format!("…{}", name.chars().skip(length - most + 1).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 1023, 1536, 3 << 30].map(bytes), ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]);
        assert_eq!([999, 7_450_000, u64::MAX].map(flops), ["999 FLOP", "7.5 MFLOP", "18.4 EFLOP"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.1234, 12.34, 123.4, 12_340.0].map(milliseconds), ["0.12 ms", "12.3 ms", "123 ms", "12.3 s"]);
    }
}
