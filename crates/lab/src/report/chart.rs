//! Charts as inline SVG: scales, axes and marks. Colours are CSS variables, so that a page decides them for light and dark.

use maud::{Markup, html};

/// Inner width of every chart, in SVG units; pages scale it to theirs.
pub const WIDTH: f64 = 640.0;

/// Room for an axis' labels at the left and at the bottom.
const MARGIN: [f64; 2] = [58.0, 40.0];

/// How numbers become places.
#[derive(Debug, Clone, Copy)]
pub enum Scale {
    /// From the first to the last, evenly.
    Linear(f64, f64),
    /// The same of their logarithms; both above 0.
    Log(f64, f64),
}

impl Scale {
    /// A logarithmic one that holds all of the values, to whole powers of ten.
    pub fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite() && *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            (least, most) = (1.0, 10.0);
        }
        let (low, high) = (least.log10().floor(), most.log10().ceil());
        Scale::Log(10f64.powf(low), 10f64.powf(if high > low { high } else { low + 1.0 }))
    }

    /// A linear one from 0 to a round number that holds all of the values.
    pub fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let most = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let step = nice(most.max(f64::MIN_POSITIVE) / 4.0);
        Scale::Linear(0.0, (most / step).ceil().max(1.0) * step)
    }

    /// Between 0 and 1.
    pub fn at(self, value: f64) -> f64 {
        match self {
            Scale::Linear(low, high) => (value - low) / (high - low),
            Scale::Log(low, high) => (value.max(low * 1e-3) / low).ln() / (high / low).ln(),
        }
    }

    /// Round numbers along it.
    pub fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear(low, high) => {
                let step = nice((high - low) / 4.0);
                (0..=((high - low) / step).round() as usize).map(|index| low + step * index as f64).collect()
            }
            Scale::Log(low, high) => {
                let (first, last) = (low.log10().round() as i32, high.log10().round() as i32);
                (first..=last).map(|power| 10f64.powi(power)).collect()
            }
        }
    }
}

/// The least of 1, 2, 2.5, 5 times a power of ten that is not below a number.
fn nice(number: f64) -> f64 {
    let power = 10f64.powf(number.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|round| round * power)
        .find(|round| *round >= number * (1.0 - 1e-9))
        .unwrap_or(number)
}

/// A number on an axis: `0.001`, `2.5`, `1000`, `10k`.
pub fn tick_label(number: f64) -> String {
    let text = |number: f64| {
        let text = format!("{number:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    match number.abs() {
        size if size >= 1e9 => text(number / 1e9) + "G",
        size if size >= 1e6 => text(number / 1e6) + "M",
        size if size >= 1e4 => text(number / 1e3) + "k",
        size if size < 1e-3 && size > 0.0 => format!("{number:.0e}"),
        _ => text(number),
    }
}

/// Two axes and what lies between them.
pub struct Plot {
    /// From left to right.
    pub x: Scale,
    /// From bottom to top.
    pub y: Scale,
    /// What the axes measure.
    pub labels: [String; 2],
    /// SVG units.
    pub height: f64,
    /// What the chart shows, for those who do not see it.
    pub title: String,
}

impl Plot {
    /// The place of a pair of numbers.
    pub fn place(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, bottom] = MARGIN;
        let (right, top) = (WIDTH - 20.0, 10.0);
        let low = self.height - bottom;
        [left + self.x.at(x) * (right - left), low - self.y.at(y) * (low - top)]
    }

    /// The chart around its marks, which are in the plot's places.
    pub fn draw(&self, marks: Markup) -> Markup {
        let [(x0, y0), (x1, y1)] = [self.ends(false), self.ends(true)];
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (self.height) } role="img" aria-label=(self.title) {
                title { (self.title) }
                @for tick in self.y.ticks() {
                    @let [_, y] = self.place(x0, tick);
                    line.grid x1=(self.place(x0, y0)[0]) x2=(self.place(x1, y0)[0]) y1=(short(y)) y2=(short(y)) {}
                    text.tick x=(MARGIN[0] - 6.0) y=(short(y + 3.5)) text-anchor="end" { (tick_label(tick)) }
                }
                @for tick in self.x.ticks() {
                    @let [x, _] = self.place(tick, y0);
                    line.grid x1=(short(x)) x2=(short(x)) y1=(short(self.place(x0, y0)[1])) y2=(short(self.place(x0, y1)[1])) {}
                    text.tick x=(short(x)) y=(self.height - MARGIN[1] + 15.0) text-anchor="middle" { (tick_label(tick)) }
                }
                text.label x=((MARGIN[0] + WIDTH) / 2.0) y=(self.height - 6.0) text-anchor="middle" { (self.labels[0]) }
                text.label transform={ "translate(13 " ((self.height - MARGIN[1]) / 2.0) ") rotate(-90)" } text-anchor="middle" { (self.labels[1]) }
                (marks)
            }
        }
    }

    /// The same as a file of its own, in colours that can be read on light and on dark.
    pub fn file(&self, marks: Markup) -> String {
        let height = self.height;
        let style = "text{font:11px system-ui,sans-serif;fill:#7a7f86}.grid{stroke:#7a7f8655}.one{fill:#2f8fb3}.two{fill:#d98032}.three{fill:#6b8f3c}.four{fill:#9b6790}";
        let inner = self.draw(marks).into_string();
        let inner = inner.split_once('>').map_or("", |(_, rest)| rest);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\"><style>{style}</style>{inner}\n"
        )
    }

    fn ends(&self, high: bool) -> (f64, f64) {
        let end = |scale: Scale| match scale {
            Scale::Linear(low, most) | Scale::Log(low, most) => {
                if high {
                    most
                } else {
                    low
                }
            }
        };
        (end(self.x), end(self.y))
    }

    /// A line through some points, as `d` of a path.
    pub fn path(&self, points: impl IntoIterator<Item = [f64; 2]>) -> String {
        let place = |(index, [x, y]): (usize, [f64; 2])| {
            let [x, y] = self.place(x, y);
            format!("{}{} {}", if index == 0 { "M" } else { "L" }, short(x), short(y))
        };
        points.into_iter().enumerate().map(place).collect()
    }
}

/// A place with as many digits as an eye can tell.
pub fn short(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_their_values_between_round_numbers() {
        let Scale::Log(low, high) = Scale::log([0.3, 70.0]) else { panic!() };
        assert!((low - 0.1).abs() < 1e-12 && (high - 100.0).abs() < 1e-9);
        assert!((Scale::log([0.3, 70.0]).at(10f64.sqrt()) - 0.5).abs() < 1e-12);
        assert_eq!(Scale::from_zero([3.0, 9.1]).ticks(), [0.0, 2.5, 5.0, 7.5, 10.0]);
        assert!(Scale::log([]).at(1.0) == 0.0 && Scale::from_zero([]).at(0.0) == 0.0);
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.0, 0.25, 12.0, 25_000.0, 3e6].map(tick_label), ["0", "0.25", "12", "25k", "3M"]);
    }
}
