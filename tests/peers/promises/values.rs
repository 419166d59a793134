//! What both doors promise of values: they go round unchanged, or are refused with a reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use truce::peer::Scan as _;
use truce::reconcile::{Decimal, Field, Observation, Outcome, RecordId, Shape, Value};

use crate::stage::{Desk, Stage, expecting, is_done, read, titles, written};

/// Text that has been spoiled on the way somewhere.
fn texts() -> Vec<String> {
    let fixed = [
        "O'Neil said \"no\" \\ 'yes' `maybe` ;--",
        "{\"json\": [null, \"\\u0041\"]} <b>&amp;</b> %20 ${x} {{y}}",
        "\u{1D518}nicode 😀 👩‍👩‍👧‍👦 \u{20BB7}",
        "e\u{301}a\u{308} is not \u{e9}\u{e4}",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} abc \u{200f}\u{639}\u{631}\u{628}\u{64a}\u{202b}x\u{202c}",
        "石田さん ぱぴぷ ｶﾅ",
        "İstanbul ẞ ſ ﬁ",
        "null",
        "-",
        "0",
        "007",
        "1e3",
        "true",
        "2026-02-30",
        "a\ttab and two  spaces",
        "one line\nand another",
        "a;b,c|d",
    ];
    let long = ["x", "ä", "\u{5e9}"].map(|letter| letter.repeat(255));
    fixed.into_iter().map(ToOwned::to_owned).chain(long).chain(["😀".repeat(127)]).collect()
}

pub(crate) async fn text_goes_round_unchanged<S: Stage>() {
    let mut stage = S::new().await;
    let (field, texts) = (S::TERMS.long, texts());
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(texts.len())).await);
    let shape = stage.shapes()[&field].clone();
    let mut writes = Vec::new();
    for (id, text) in ids.iter().zip(&texts) {
        let value = Value::text(text);
        assert_eq!(shape.canonical(value.clone()), Ok(value.clone()), "{text:?} is canonical");
        writes.push(desk.set::<S>(id, field, value));
    }
    let outcomes = stage.write(writes).await.unwrap();
    for ((id, text), outcome) in ids.iter().zip(&texts).zip(&outcomes) {
        assert!(is_done(outcome), "{text:?}: {outcome:?}");
        let held = stage.text(id, field).await.unwrap();
        // Ends of lines are the side's own.
        assert_eq!(held.replace("\r\n", "\n"), *text);
    }
    // And may be what a guard compares with.
    let seen = all_read(&mut stage, &ids).await;
    let mut writes = Vec::new();
    for (seen, text) in seen.iter().zip(&texts) {
        assert_eq!(seen.value(field), Some(&Value::text(text)));
        let write = desk.title::<S>(&seen.record, "guarded");
        writes.push(expecting(write, field, Value::text(text)));
    }
    for (text, outcome) in texts.iter().zip(stage.write(writes).await.unwrap()) {
        assert!(is_done(&outcome), "{text:?}: {outcome:?}");
    }
}

pub(crate) async fn null_and_blank_are_one<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(2)).await);
    let field = S::TERMS.title;
    stage.edit(&ids[0], "").await;
    assert_eq!(read(&mut stage, &ids[0]).await.value(field), Some(&Value::Null));
    let write = expecting(desk.title::<S>(&ids[0], "ours"), field, Value::Null);
    let outcome = written(&mut stage, write).await;
    assert!(is_done(&outcome), "a blank is as null as any: {outcome:?}");
    let write = desk.set::<S>(&ids[1], field, Value::Null);
    let outcome = written(&mut stage, write).await;
    assert!(is_done(&outcome), "{outcome:?}");
    assert_eq!(stage.text(&ids[1], field).await, None);
    let seen = read(&mut stage, &ids[1]).await;
    assert_eq!(seen.value(field), Some(&Value::Null), "known to be nothing, and not unknown");
    let write = expecting(desk.title::<S>(&ids[1], "ours"), field, Value::Null);
    let outcome = written(&mut stage, write).await;
    assert!(is_done(&outcome), "{outcome:?}");
}

pub(crate) async fn limits_go_round_or_are_refused_with_a_reason<S: Stage>() {
    let mut stage = S::new().await;
    let mut asked: Vec<(Field, Value)> = Vec::new();
    for (field, shape) in stage.shapes() {
        let fits = |value: Value| shape.canonical(value).ok();
        let values: BTreeSet<Value> = extremes(&shape).into_iter().filter_map(fits).collect();
        asked.extend(values.into_iter().map(|value| (field, value)));
    }
    assert!(asked.len() > 3, "{asked:?}");
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(asked.len())).await);
    let before = all_read(&mut stage, &ids).await;
    let mut writes = Vec::new();
    for (id, (field, value)) in ids.iter().zip(&asked) {
        writes.push(desk.set::<S>(id, *field, value.clone()));
    }
    let outcomes = stage.write(writes).await.unwrap();
    let after = all_read(&mut stage, &ids).await;
    let mut done = 0;
    for (n, (field, value)) in asked.iter().enumerate() {
        if let Outcome::Refused(refusal) = &outcomes[n] {
            assert!(!refusal.code.is_empty() && !refusal.message.is_empty(), "{refusal:?}");
            assert_eq!(refusal.fields, [*field], "{value:?}: {refusal:?}");
            assert_eq!(after[n].presence, before[n].presence, "{field:?} {value:?}");
        } else {
            assert!(is_done(&outcomes[n]), "{field:?} {value:?}: {:?}", outcomes[n]);
            assert_eq!(after[n].value(*field), Some(value), "{field:?}");
            done += 1;
        }
    }
    assert!(asked.len() / 2 < done, "{done} of {} are taken", asked.len());
}

/// Reads records, in the order that they were asked for.
async fn all_read<S: Stage>(stage: &mut S, ids: &[RecordId]) -> Vec<Observation> {
    let mut scan = stage.scan().await;
    let seen = scan.read(S::TERMS.entity, ids, stage.ask()).await.unwrap();
    let own = |id: &RecordId| seen.iter().find(|seen| seen.record == *id).unwrap().clone();
    ids.iter().map(own).collect()
}

/// Values at and about the limits of a shape, and of what is behind it.
fn extremes(shape: &Shape) -> Vec<Value> {
    match shape {
        Shape::Bool => [true, false].map(Value::Bool).into(),
        Shape::Int { min, max } => [*min, min + 1, -1, 0, 1, max - 1, *max].map(Value::Int).into(),
        Shape::Decimal { whole, scale } => decimals(*whole, *scale),
        Shape::Text(text) => {
            let (max, pairs) = (text.max.min(TEXT_MAX), text.max.min(TEXT_MAX) / 2);
            ["x".repeat(max), "ö".repeat(max), "😀".repeat(pairs), "x".repeat(max.min(255))]
                .map(|text| Value::text(&text))
                .into()
        }
        Shape::Date => dates().into_iter().map(Value::Date).collect(),
        Shape::Time => ["00:00:00", "12:34:56", "23:59:59"]
            .map(|time| Value::Time(parsed::<Time>(time)))
            .into(),
        Shape::Instant => instants().into_iter().map(Value::Instant).collect(),
        Shape::Uuid => [0, 1, u128::MAX].map(Value::Uuid).into(),
        Shape::Set { .. } => {
            let names: BTreeSet<Arc<str>> = ["listed nowhere".into()].into();
            vec![Value::Set(names)]
        }
        // These have promises of their own.
        Shape::Reference(_) | Shape::Consent => Vec::new(),
    }
}

/// Longer texts are tried by nobody: they only take time.
const TEXT_MAX: usize = 40_000;

fn decimals(whole: u8, scale: u8) -> Vec<Value> {
    let largest = 10_i128.pow(u32::from(whole) + u32::from(scale)) - 1;
    let of = |mantissa| Value::Decimal(Decimal::new(mantissa, scale));
    [largest, -largest, 1, -1, 0, 10_i128.pow(scale.into())].map(of).into()
}

fn dates() -> Vec<Date> {
    ["0001-01-01", "1582-10-10", "1700-01-01", "1753-01-01", "1899-12-31", "1970-01-01"]
        .into_iter()
        .chain(["2000-02-29", "2038-01-20", "4000-12-31", "9999-12-31"])
        .map(parsed)
        .collect()
}

fn instants() -> Vec<Timestamp> {
    ["0001-01-01T00:00:00Z", "1700-01-01T00:00:00Z", "1753-01-01T00:00:00Z"]
        .into_iter()
        .chain(["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2038-01-19T03:14:08Z"])
        .chain(["2026-03-29T01:30:00Z", "4000-12-31T23:59:59Z", "9999-12-30T00:00:00Z"])
        .map(parsed)
        .collect()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}
