//! `total.median<20ms`: a threshold on a report, so that a benchmark can guard a build.

use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// A path into the report's JSON, a comparison and a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    path: String,
    comparison: Comparison,
    /// In the report's unit: milliseconds for times.
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Longer ones first: `<=` starts like `<`.
const COMPARISONS: [(&str, Comparison); 4] =
    [("<=", Comparison::AtMost), (">=", Comparison::AtLeast), ("<", Comparison::Less), (">", Comparison::More)];

/// Units of a limit, as milliseconds or as plain numbers.
const UNITS: [(&str, f64); 5] = [("ns", 1e-6), ("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("%", 1.0)];

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected PATH<LIMIT, for example total.median<20ms or fusion.speedup>1.1".to_string();
        let split = |(sign, comparison)| text.split_once(sign).map(|(path, limit)| (path, comparison, limit));
        let (path, comparison, limit) = COMPARISONS.into_iter().find_map(split).ok_or_else(expected)?;
        let (path, limit) = (path.trim(), limit.trim());
        let unit = UNITS.iter().find_map(|(unit, factor)| limit.strip_suffix(unit).map(|number| (number, *factor)));
        let (number, factor) = unit.unwrap_or((limit, 1.0));
        let number: f64 = number.trim().parse().map_err(|_| expected())?;
        if path.is_empty() || !number.is_finite() {
            return Err(expected());
        }
        Ok(Assertion { path: path.to_string(), comparison, limit: number * factor })
    }
}

impl Assertion {
    /// Every number that the path leads to and that is not as demanded, with where it is. A list on the way stands for
    /// each of its items; `total` finds `total_ms`.
    ///
    /// # Errors
    /// Where the path leads to no number.
    pub fn failures(&self, report: &Value) -> Result<Vec<(String, f64)>, String> {
        let mut found = Vec::new();
        collect(report, &self.path, String::new(), &mut found);
        if found.is_empty() {
            return Err(format!("the report has no number '{}'", self.path));
        }
        found.retain(|(_, number)| !self.holds(*number));
        Ok(found)
    }

    fn holds(&self, number: f64) -> bool {
        match self.comparison {
            Comparison::Less => number < self.limit,
            Comparison::AtMost => number <= self.limit,
            Comparison::More => number > self.limit,
            Comparison::AtLeast => number >= self.limit,
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = COMPARISONS.iter().find(|(_, comparison)| *comparison == self.comparison);
        write!(f, "{} {} {}", self.path, sign.map_or("?", |(sign, _)| sign), self.limit)
    }
}

fn collect(value: &Value, path: &str, at: String, found: &mut Vec<(String, f64)>) {
    if let Value::Array(items) = value {
        for (index, item) in items.iter().enumerate() {
            let name = item.get("name").and_then(Value::as_str).map_or(index.to_string(), str::to_string);
            collect(item, path, format!("{at}[{name}]"), found);
        }
    } else if path.is_empty() {
        found.extend(value.as_f64().map(|number| (at, number)));
    } else {
        // A percentile's name may have a point in it.
        let whole = value.get(path).map(|_| (path, ""));
        let (head, rest) = whole.or_else(|| path.split_once('.')).unwrap_or((path, ""));
        if let Some(inner) = value.get(head).or_else(|| value.get(format!("{head}_ms"))) {
            let at = if at.is_empty() { head.to_string() } else { format!("{at}.{head}") };
            collect(inner, rest, at, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failures(text: &str) -> Result<Vec<(String, f64)>, String> {
        let fusion = [("a", 1.5), ("b", 0.5)].map(|(name, speedup)| json!({ "name": name, "speedup": speedup }));
        let report = json!({ "total_ms": { "median": 20.0, "p99.9": 30.0 }, "fusion": fusion });
        text.parse::<Assertion>().unwrap().failures(&report)
    }

    #[test]
    fn limits_have_units_and_bounds_are_strict_where_they_say_so() {
        assert_eq!(failures("total.median<21ms"), Ok(vec![]));
        assert_eq!(failures("total.median <= 0.02 s"), Ok(vec![]));
        assert_eq!(failures("total.median<20"), Ok(vec![("total.median".to_string(), 20.0)]));
        assert_eq!(failures("total_ms.median>20000us").unwrap().len(), 1);
        assert_eq!(failures("total.p99.9<30").unwrap(), [("total.p99.9".to_string(), 30.0)]);
    }

    #[test]
    fn a_list_stands_for_each_of_its_items() {
        assert_eq!(failures("fusion.speedup>=1"), Ok(vec![("fusion[b].speedup".to_string(), 0.5)]));
    }

    #[test]
    fn what_is_not_there_is_an_error_and_so_is_what_is_no_assertion() {
        assert!(failures("total.mode<1").is_err());
        for text in ["", "total.median", "total.median<", "<1", "total.median<fast", "total.median<nan"] {
            assert!(text.parse::<Assertion>().is_err(), "{text}");
        }
    }
}
