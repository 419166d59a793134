//! Numbers that carry their limits in their type.
//!
//! Limit and default stand in the field's type, `Whole<1, 200, 200>`: least, default, most. They are
//! read by three: the parser refuses what is outside, the schema and the printed reference name
//! them, and a default outside of its own limits does not compile.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A whole number from `MIN` to `MAX`, both included; `DEFAULT` where the file is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Whole<const MIN: u32, const DEFAULT: u32, const MAX: u32>(u32);

impl<const MIN: u32, const DEFAULT: u32, const MAX: u32> Whole<MIN, DEFAULT, MAX> {
    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as a count of things in memory.
    pub const fn size(self) -> usize {
        // A u32 fits wherever this agent can run: it needs 32-bit pointers at least.
        self.0 as usize
    }
}

impl<const MIN: u32, const DEFAULT: u32, const MAX: u32> Default for Whole<MIN, DEFAULT, MAX> {
    fn default() -> Self {
        const { assert!(MIN <= DEFAULT && DEFAULT <= MAX, "a default outside of its own limits") }
        Self(DEFAULT)
    }
}

impl<const MIN: u32, const DEFAULT: u32, const MAX: u32> TryFrom<i64> for Whole<MIN, DEFAULT, MAX> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match u32::try_from(number) {
            Ok(fits) if (MIN..=MAX).contains(&fits) => Ok(Self(fits)),
            Ok(_) | Err(_) => Err(format!("{number} is not between {MIN} and {MAX}")),
        }
    }
}

impl<const MIN: u32, const DEFAULT: u32, const MAX: u32> JsonSchema for Whole<MIN, DEFAULT, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Whole_{MIN}_{DEFAULT}_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A time span in seconds, fractions allowed; limits and default are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds<const MIN_MS: u64, const DEFAULT_MS: u64, const MAX_MS: u64>(Duration);

impl<const MIN_MS: u64, const DEFAULT_MS: u64, const MAX_MS: u64>
    Seconds<MIN_MS, DEFAULT_MS, MAX_MS>
{
    /// The time span.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl<const MIN_MS: u64, const DEFAULT_MS: u64, const MAX_MS: u64> Default
    for Seconds<MIN_MS, DEFAULT_MS, MAX_MS>
{
    fn default() -> Self {
        const {
            assert!(
                MIN_MS <= DEFAULT_MS && DEFAULT_MS <= MAX_MS,
                "a default outside of its own limits"
            );
        }
        Self(Duration::from_millis(DEFAULT_MS))
    }
}

impl<const MIN_MS: u64, const DEFAULT_MS: u64, const MAX_MS: u64> TryFrom<f64>
    for Seconds<MIN_MS, DEFAULT_MS, MAX_MS>
{
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        let (least, most) = (Duration::from_millis(MIN_MS), Duration::from_millis(MAX_MS));
        match Duration::try_from_secs_f64(seconds) {
            Ok(span) if least <= span && span <= most => Ok(Self(span)),
            Ok(_) | Err(_) => Err(format!(
                "{seconds} is not between {} and {} seconds",
                least.as_secs_f64(),
                most.as_secs_f64()
            )),
        }
    }
}

impl<const MIN_MS: u64, const DEFAULT_MS: u64, const MAX_MS: u64>
    From<Seconds<MIN_MS, DEFAULT_MS, MAX_MS>> for f64
{
    fn from(seconds: Seconds<MIN_MS, DEFAULT_MS, MAX_MS>) -> Self {
        seconds.0.as_secs_f64()
    }
}

impl<const MIN_MS: u64, const DEFAULT_MS: u64, const MAX_MS: u64> JsonSchema
    for Seconds<MIN_MS, DEFAULT_MS, MAX_MS>
{
    fn schema_name() -> Cow<'static, str> {
        format!("Seconds_{MIN_MS}_{DEFAULT_MS}_{MAX_MS}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "minimum": Duration::from_millis(MIN_MS).as_secs_f64(),
            "maximum": Duration::from_millis(MAX_MS).as_secs_f64(),
        })
    }
}

/// A part of a whole, from 0 to 1; the default is in percent.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share<const PERCENT: u8>(f64);

impl<const PERCENT: u8> Share<PERCENT> {
    /// The part, from 0 to 1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl<const PERCENT: u8> Default for Share<PERCENT> {
    fn default() -> Self {
        const { assert!(PERCENT <= 100, "a share of more than the whole") }
        Self(f64::from(PERCENT) / 100.0)
    }
}

impl<const PERCENT: u8> TryFrom<f64> for Share<PERCENT> {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(format!("{share} is not a share between 0 and 1; a fifth is 0.2"))
        }
    }
}

impl<const PERCENT: u8> JsonSchema for Share<PERCENT> {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_knows_its_limits() {
        assert_eq!(Whole::<1, 200, 200>::try_from(200).unwrap().get(), 200);
        let refused = Whole::<1, 200, 200>::try_from(0).unwrap_err();
        assert_eq!(refused, "0 is not between 1 and 200");
        assert!(Whole::<1, 200, 200>::try_from(-1).is_err());
        assert!(Whole::<1, 200, 200>::try_from(i64::MAX).is_err());
    }

    #[test]
    fn seconds_may_have_fractions_but_not_be_strange() {
        type Poll = Seconds<100, 10_000, 60_000>;
        assert_eq!(Poll::try_from(0.25).unwrap().get(), Duration::from_millis(250));
        for strange in [f64::NAN, f64::INFINITY, -1.0, 0.0, 61.0] {
            assert!(Poll::try_from(strange).is_err(), "{strange}");
        }
    }

    #[test]
    fn a_share_is_not_a_percentage() {
        assert!(Share::<20>::try_from(0.2).is_ok());
        assert!(Share::<20>::try_from(20.0).is_err());
        assert!(Share::<20>::try_from(f64::NAN).is_err());
    }
}
