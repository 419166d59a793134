//! Decimal numbers, exactly: money and decimals are rounded when they are kept, never before.

use std::fmt;

/// Digits behind the point that are kept; no column has more.
const SCALE: u32 = 10;
const ONE: i128 = 10_i128.pow(SCALE);

/// A number with up to ten digits behind the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(i128);

impl Number {
    pub(super) fn whole(number: i64) -> Number {
        Number(i128::from(number) * ONE)
    }

    /// Reads what JSON or a filter writes: `1250`, `-0.5`, `1.5e3`.
    pub(super) fn parse(text: &str) -> Option<Number> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, digits),
        };
        let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{behind}");
        if whole.is_empty() || all.len() > 28 || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let shift = exponent - i32::try_from(behind.len()).ok()? + i32::try_from(SCALE).ok()?;
        let value: i128 = all.parse().ok()?;
        let scaled = match u32::try_from(shift) {
            Ok(up) => value.checked_mul(10_i128.checked_pow(up)?)?,
            Err(_) => rounded(value, 10_i128.checked_pow(shift.unsigned_abs())?),
        };
        Some(Number(sign * scaled))
    }

    /// Rounded to so many digits behind the point, halves away from zero.
    pub(super) fn round(self, digits: u32) -> Number {
        let unit = 10_i128.pow(SCALE - digits.min(SCALE));
        Number(rounded(self.0, unit) * unit)
    }

    pub(super) fn plus(self, other: Number) -> Number {
        Number(self.0.saturating_add(other.0))
    }

    /// A quotient; nothing where there is none.
    pub(super) fn over(self, other: Number) -> Option<Number> {
        Some(Number(self.0.checked_mul(ONE)?.checked_div(other.0)?))
    }

    /// With at least so many digits behind the point, as money is shown.
    pub(super) fn to_fixed(self, digits: usize) -> String {
        let text = self.to_string();
        let behind = text.split_once('.').map_or(0, |(_, behind)| behind.len());
        if digits <= behind {
            return text;
        }
        let point = if behind == 0 { "." } else { "" };
        format!("{text}{point}{}", "0".repeat(digits - behind))
    }
}

fn rounded(value: i128, unit: i128) -> i128 {
    (value.abs() + unit / 2) / unit * value.signum()
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, behind) = (self.0.abs() / ONE, self.0.abs() % ONE);
        if behind == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{behind:010}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_rounded_and_written() {
        let number = |text| Number::parse(text).unwrap();
        assert_eq!(number("1250").to_fixed(4), "1250.0000");
        assert_eq!(number("1.5e3").to_string(), "1500");
        assert_eq!(number("-0.125").round(2).to_string(), "-0.13");
        assert_eq!(number("0.000000000049").to_string(), "0");
        assert_eq!(number("10").over(number("4")).unwrap().to_string(), "2.5");
        assert_eq!(number("1").over(number("0")), None);
        for wrong in ["", ".5", "1,5", "abc", "1e99"] {
            assert_eq!(Number::parse(wrong), None, "{wrong}");
        }
    }
}
