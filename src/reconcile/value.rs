//! Canonical values: equal values survive a round trip through either side.
//!
//! What makes a value canonical for a field is its [`Shape`](crate::reconcile::Shape): the
//! narrower of the two sides' types. Here are only the values themselves.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, Time};

use crate::reconcile::{LinkId, RecordId};

/// A field's value in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// No value. Campaign's empty text is one, its 0 where the field says so.
    Null,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fixed scale.
    Decimal(Decimal),
    /// Text: trimmed, never empty.
    Text(Arc<str>),
    /// A calendar date, which never passes through a time zone.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A point in time, in whole seconds where a CRM keeps no more.
    Instant(Timestamp),
    /// A 128-bit identifier.
    Uuid(u128),
    /// A set of names, such as a multi-select picklist.
    Set(BTreeSet<Arc<str>>),
    /// A reference as one side tells it: the parent's own key there.
    Record(RecordId),
    /// A reference that both sides understand: the parent's link.
    Link(LinkId),
    /// Whether a person may be contacted.
    Consent(Consent),
}

impl Value {
    /// Text as a value; nothing left after trimming is null.
    pub fn text(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() { Self::Null } else { Self::Text(text.into()) }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// Consent over all the columns of one side that say something of it.
///
/// A lattice: out is above in, and a column that implies the field's own (Campaign's "no contact
/// on any channel") is never cleared through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consent {
    /// May be contacted.
    In,
    /// Opted out by the field's own column, the first listed.
    Out,
    /// Opted out by a column that implies it, whatever the field's own says.
    Implied,
}

impl Consent {
    /// Whether the person must not be contacted.
    pub fn is_out(self) -> bool {
        match self {
            Self::In => false,
            Self::Out | Self::Implied => true,
        }
    }
}

/// A decimal number: `mantissa / 10^scale`, with no trailing zeros after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

/// Why a text is not a decimal number that we can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDecimal;

impl fmt::Display for NotDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number of at most 30 digits")
    }
}

impl std::error::Error for NotDecimal {}

impl Decimal {
    /// More digits than any column of either side has; keeps every sum below within `i128`.
    const DIGITS_MAX: usize = 30;

    /// `mantissa / 10^scale`.
    pub fn new(mantissa: i128, scale: u8) -> Self {
        let (mut mantissa, mut scale) = (mantissa, scale);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// Rounds half away from zero, as Salesforce's screens do.
    pub fn round(self, scale: u8) -> Self {
        if self.scale <= scale {
            return self;
        }
        let unit = 10_i128.pow(u32::from(self.scale - scale));
        let half = unit / 2 * self.mantissa.signum();
        Self::new((self.mantissa + half) / unit, scale)
    }

    /// How many digits stand before the point.
    pub fn whole_digits(self) -> usize {
        let whole = self.mantissa.unsigned_abs() / 10_u128.pow(u32::from(self.scale));
        if whole == 0 { 0 } else { whole.to_string().len() }
    }
}

impl FromStr for Decimal {
    type Err = NotDecimal;

    /// Reads plain and scientific notation: `-12.50`, `1.39E8`.
    fn from_str(text: &str) -> Result<Self, NotDecimal> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| NotDecimal)?),
            None => (text, 0),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{part}");
        let unsigned = digits.trim_start_matches(['-', '+']);
        let plain = unsigned.bytes().all(|b| b.is_ascii_digit()) && !unsigned.is_empty();
        if !plain || digits.len() - unsigned.len() > 1 || !(-60..=60).contains(&exponent) {
            return Err(NotDecimal);
        }
        let scale = i32::try_from(part.len()).map_err(|_| NotDecimal)? - exponent;
        let significant = unsigned.trim_start_matches('0');
        let kept = if scale > 0 { significant.trim_end_matches('0') } else { significant };
        let dropped = i32::try_from(significant.len() - kept.len()).map_err(|_| NotDecimal)?;
        if kept.is_empty() {
            return Ok(Self { mantissa: 0, scale: 0 });
        }
        let (kept, scale) = lift(kept, scale - dropped);
        if kept.len() > Self::DIGITS_MAX || !(0..=30).contains(&scale) {
            return Err(NotDecimal);
        }
        let size: i128 = kept.parse().map_err(|_| NotDecimal)?;
        let mantissa = if digits.starts_with('-') { -size } else { size };
        Ok(Self::new(mantissa, u8::try_from(scale).map_err(|_| NotDecimal)?))
    }
}

/// A negative scale as zeros: `1E3` is `1000`. Trailing zeros cut off a number whose scale then
/// fell below zero come back here too.
fn lift(digits: &str, scale: i32) -> (String, i32) {
    let zeros = usize::try_from(-scale).unwrap_or(0);
    (format!("{digits}{}", "0".repeat(zeros)), scale.max(0))
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs(), width = scale + 1);
        let (whole, part) = digits.split_at(digits.len() - scale);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part}")
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    /// By mantissa and scale: an order for sets and maps, not the numbers' own.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.mantissa, self.scale).cmp(&(other.mantissa, other.scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_print_as_they_are_read_and_drop_what_means_nothing() {
        for (text, printed) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("12.50", "12.5"),
            ("-0.05", "-0.05"),
            ("1.39E8", "139000000"),
            ("100", "100"),
            ("1e-3", "0.001"),
            ("+7", "7"),
            ("300.0", "300"),
            ("0.10", "0.1"),
        ] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), printed, "{text}");
        }
        for bad in ["", "-", "1.2.3", "1e", "--1", "1e99", "nan", "1 000"] {
            assert_eq!(bad.parse::<Decimal>(), Err(NotDecimal), "{bad}");
        }
    }

    #[test]
    fn halves_round_away_from_zero() {
        let round = |text: &str, scale| text.parse::<Decimal>().unwrap().round(scale).to_string();
        assert_eq!(round("0.125", 2), "0.13");
        assert_eq!(round("-0.125", 2), "-0.13");
        assert_eq!(round("0.124", 2), "0.12");
        assert_eq!(round("9.99", 1), "10");
    }
}
