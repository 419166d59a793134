//! The written forms of dates, times and e-mail addresses.

use jiff::Timestamp;
use jiff::civil::Date;

/// `2026-10-31`, from 1700 to 4000.
pub(super) fn date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let date: Date = text.parse().ok()?;
    (1700..=4000).contains(&date.year()).then_some(date)
}

/// `2026-10-31T12:00:00Z`, with or without fractions, `+01:00` or `+0100`; whole seconds.
pub(super) fn date_time(text: &str) -> Option<i64> {
    let (day, rest) = (text.get(..10)?, text.get(10..)?);
    date(day)?;
    let rest = rest.strip_prefix('T')?;
    let zone = rest.find(['Z', '+', '-'])?;
    let offset = zone_seconds(&rest[zone..])?;
    let (clock, fraction) = rest[..zone].split_once('.').unwrap_or((&rest[..zone], "0"));
    let shaped = clock.len() == 8 && !fraction.is_empty() && is_digits(fraction);
    let at: Timestamp = shaped.then(|| format!("{day}T{clock}Z").parse().ok())??;
    Some(at.as_second() - offset)
}

/// `12:34:56.000Z`, in milliseconds since midnight.
pub(super) fn time(text: &str) -> Option<u32> {
    let (clock, fraction) = text.trim_end_matches('Z').split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.trim_end_matches('Z').split(':').map(two_digits);
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let ms: u32 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    (parts.next().is_none() && h < 24 && m < 60 && s < 60)
        .then_some(((h * 60 + m) * 60 + s) * 1000 + ms)
}

/// Whether a text has the form of an e-mail address.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let odd = |c: char| c <= ' ' || !c.is_ascii() || "()<>@,;:\\\"[]".contains(c);
    let dotted = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..")
    };
    let label = |part: &str| {
        !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    dotted(local)
        && !local.contains(odd)
        && dotted(domain)
        && domain.contains('.')
        && domain.split('.').all(label)
}

fn zone_seconds(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = (two_digits(digits.get(..2)?)?, two_digits(digits.get(2..)?)?);
    (hours <= 14 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

fn two_digits(text: &str) -> Option<u32> {
    (text.len() == 2 && is_digits(text)).then(|| text.parse().ok())?
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_come_in_several_forms_and_lose_their_fractions() {
        let noon = Some(1_793_448_000);
        for text in [
            "2026-10-31T12:00:00Z",
            "2026-10-31T12:00:00.999Z",
            "2026-10-31T12:00:00.000+0000",
            "2026-10-31T13:00:00+01:00",
            "2026-10-31T07:30:00-0430",
        ] {
            assert_eq!(date_time(text), noon, "{text}");
        }
        for text in
            ["2026-10-31", "2026-10-31 12:00:00Z", "2026-10-31T12:00:00", "2026-13-31T12:00:00Z"]
        {
            assert_eq!(date_time(text), None, "{text}");
        }
    }

    #[test]
    fn dates_have_one_form_and_bounds() {
        assert!(date("1700-01-01").is_some());
        assert!(date("4000-12-31").is_some());
        for text in ["1699-12-31", "4001-01-01", "2026-1-1", "20261031", "2026-02-30", ""] {
            assert!(date(text).is_none(), "{text}");
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(time("12:34:56.000Z"), Some(45_296_000));
        assert_eq!(time("12:34:56Z"), Some(45_296_000));
        assert_eq!(time("24:00:00Z"), None);
    }

    #[test]
    fn email_addresses_have_a_form() {
        assert!(is_email("a.b+c@example.co.uk"));
        for text in ["foo@", "@example.com", "a b@example.com", "a@b", "a@b..com", "a@@b.com", "a"]
        {
            assert!(!is_email(text), "{text}");
        }
    }
}
