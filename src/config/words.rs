//! The parser's messages in the words of people who write config files.

/// A message of the TOML parser or of serde, reworded where it names things of Rust.
pub(super) fn plain(message: &str) -> String {
    let message = message.trim();
    if let Some((unknown, known)) = unknown(message, "unknown field ") {
        return match nearest(unknown, &known) {
            Some(near) => format!("there is no such key; did you mean `{near}`?"),
            None if known.is_empty() => "there is no such key; nothing goes here".to_owned(),
            None => format!("there is no such key; there are {}", listed(&known)),
        };
    }
    if let Some((unknown, known)) = unknown(message, "unknown variant ") {
        return match nearest(unknown, &known) {
            Some(near) => {
                format!("`{unknown}` is none of {}; did you mean `{near}`?", listed(&known))
            }
            None => format!("`{unknown}` is none of {}", listed(&known)),
        };
    }
    if let Some(missing) = message.strip_prefix("missing field ") {
        return format!("{missing} is missing");
    }
    message
        .replace("expected i64", "expected a whole number")
        .replace("expected f64", "expected a number")
        .replace("expected path string", "expected the name of a file")
        .replace("expected struct ", "expected the table ")
}

/// Splits serde's ``unknown field `x`, expected one of `a`, `b` ``.
fn unknown<'a>(message: &'a str, head: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let mut quoted = message.strip_prefix(head)?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The name that a slip of the fingers most likely meant.
pub(super) fn nearest<'a>(wrong: &str, names: &[&'a str]) -> Option<&'a str> {
    // A third of the letters wrong is a slip, more is another word.
    let slips_max = (wrong.chars().count() / 3).max(1);
    names
        .iter()
        .map(|name| (distance(wrong, name), *name))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// How many letters were added, left out, changed or swapped between two words (optimal string
/// alignment).
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut slips = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            slips[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = slips[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                changed.min(slips[i - 1][j] + 1).min(slips[i][j - 1] + 1)
            };
            let swapped =
                1 < i && 1 < j && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            if swapped {
                slips[i][j] = slips[i][j].min(slips[i - 2][j - 2] + 1);
            }
        }
    }
    slips[one.len()][other.len()]
}

/// A value without the password that an address in it may hold.
pub(super) fn without_password(raw: &str) -> String {
    let Some((scheme, rest)) = raw.split_once("://") else {
        return raw.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let tail = match tail.split_once("password=") {
        Some((before, after)) => {
            let kept = after.find(['&', '"', '\'']).map_or("", |at| &after[at..]);
            format!("{before}password=***{kept}")
        }
        None => tail.to_owned(),
    };
    format!("{scheme}://{authority}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let names = ["poll_seconds", "page", "batch"];
        assert_eq!(nearest("pol_seconds", &names), Some("poll_seconds"));
        assert_eq!(nearest("bacth", &names), Some("batch"));
        assert_eq!(nearest("", &names), None);
        assert_eq!(nearest("btch", &names), Some("batch"));
        assert_eq!(nearest("retries", &names), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        for (raw, shown) in [
            ("\"postgresql://u:p@h/d\"", "\"postgresql://u:***@h/d\""),
            ("\"postgresql://u@h/d?password=p&x=y\"", "\"postgresql://u@h/d?password=***&x=y\""),
            ("\"postgresql://u@h/d?password=p\"", "\"postgresql://u@h/d?password=***\""),
            ("\"https://h\"", "\"https://h\""),
            ("12", "12"),
        ] {
            assert_eq!(without_password(raw), shown);
        }
    }
}
