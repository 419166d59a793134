//! The decision log: stored in a statement for all decisions of a batch and one for all answers.
//!
//! By `benches/ledger.rs`, in batches of 2,000, without optimisation: 46,000 decisions with their answers
//! a second, 610 bytes of WAL and 420 bytes of disk each; 92,000 that were taken again, which leave
//! nothing. A change that goes over is stored four times (seen, sent, answered, echoed), which makes
//! 4,000 bytes of WAL: the log of decisions adds a seventh.

use std::time::SystemTime;

use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::answers::limit;
use super::line::{Line, moment, timestamp};
use super::store::{clean, integer, number};
use crate::ledger::decision::LOOKED_BACK;
use crate::ledger::{Decision, LedgerError, Receipt, Verdict};
use crate::reconcile::{Field, LinkId, Side};

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The statements, prepared once a session.
pub(super) struct Statements {
    pub(super) decisions: Statement,
    pub(super) receipts: Statement,
}

/// The index by link is where the row goes anyway, so that looking there first costs little.
const DECISIONS: &str = r#"
    insert into truce.decision (link, at, field, rule, verdict, winner, side, sequence, "values")
    select n.link, n.at, n.field, n.rule, n.verdict, n.winner, n.side, n.sequence, n.given::json
      from unnest($1::bigint[], $2::timestamptz[], $3::smallint[], $4::text[], $5::text[],
                  $6::text[], $7::text[], $8::integer[], $9::text[])
      with ordinality
        as n (link, at, field, rule, verdict, winner, side, sequence, given, ordinal)
     where n.verdict = 'told' or not exists (
       select from (
         select d.* from (
           select * from truce.decision as k where k.link = n.link
            order by k.at desc, k.number desc limit $10) as d
          where d.field is not distinct from n.field
          order by d.at desc, d.number desc limit 1) as last
        where last.rule = n.rule and last.verdict = n.verdict
          and last.winner is not distinct from n.winner and last."values"::text = n.given)
     order by n.ordinal"#;

const RECEIPTS: &str = "
    insert into truce.receipt (link, side, sequence, at, answer, words)
    select n.link, n.side, n.sequence, n.at, n.answer, n.words
      from unnest($1::bigint[], $2::text[], $3::integer[], $4::timestamptz[], $5::text[], $6::text[])
      with ordinality as n (link, side, sequence, at, answer, words, ordinal)
     where n.answer <> 'later' or not exists (
       select from (
         select k.answer, k.words from truce.receipt as k where k.link = n.link and k.side = n.side
          order by k.at desc, k.sequence desc limit 1) as newest
        where newest.answer = n.answer and newest.words is not distinct from n.words)
     order by n.ordinal";

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            decisions: client.prepare(DECISIONS).await?,
            receipts: client.prepare(RECEIPTS).await?,
        })
    }
}

/// Rows of the table `decision`.
#[derive(Default)]
pub(super) struct Decisions {
    link: Vec<i64>,
    at: Vec<SystemTime>,
    field: Vec<Option<i16>>,
    rule: Vec<String>,
    verdict: Vec<&'static str>,
    winner: Vec<Option<&'static str>>,
    side: Vec<Option<&'static str>>,
    sequence: Vec<Option<i32>>,
    values: Vec<String>,
    looked_back: i64,
}

impl Decisions {
    pub(super) fn of(decisions: &[Decision]) -> Result<Self, LedgerError> {
        let mut rows = Self { looked_back: limit(LOOKED_BACK), ..Self::default() };
        for decision in decisions {
            rows.link.push(number(decision.link));
            rows.at.push(moment(decision.at));
            rows.field.push(decision.field.map(|field| integer(field.0)).transpose()?);
            rows.rule.push(clean(&decision.rule));
            rows.verdict.push(decision.verdict.name());
            rows.winner.push(decision.winner.map(Side::name));
            rows.side.push(decision.write.map(|(side, _)| side.name()));
            rows.sequence.push(decision.write.map(|(_, sequence)| sequence.cast_signed()));
            rows.values.push(decision.values.to_string());
        }
        Ok(rows)
    }

    pub(super) fn given(&self) -> [Parameter<'_>; 10] {
        [
            &self.link,
            &self.at,
            &self.field,
            &self.rule,
            &self.verdict,
            &self.winner,
            &self.side,
            &self.sequence,
            &self.values,
            &self.looked_back,
        ]
    }
}

/// Rows of the table `receipt`.
#[derive(Default)]
pub(super) struct Receipts {
    link: Vec<i64>,
    side: Vec<&'static str>,
    sequence: Vec<i32>,
    at: Vec<SystemTime>,
    answer: Vec<String>,
    words: Vec<Option<String>>,
}

impl Receipts {
    pub(super) fn of(receipts: &[Receipt]) -> Self {
        let mut rows = Self::default();
        for receipt in receipts {
            rows.link.push(number(receipt.link));
            rows.side.push(receipt.side.name());
            rows.sequence.push(receipt.sequence.cast_signed());
            rows.at.push(moment(receipt.at));
            rows.answer.push(clean(&receipt.answer));
            rows.words.push(receipt.words.as_deref().map(clean));
        }
        rows
    }

    pub(super) fn given(&self) -> [Parameter<'_>; 6] {
        [&self.link, &self.side, &self.sequence, &self.at, &self.answer, &self.words]
    }
}

pub(super) async fn decisions(
    from: &Line,
    link: LinkId,
    most: usize,
) -> Result<Vec<Decision>, LedgerError> {
    const SQL: &str = r#"
        select number, link, at, field, rule, verdict, winner, side, sequence, "values"
          from truce.decision where link = $1 order by at desc, number desc limit $2"#;
    let rows = from.ask("load decisions", SQL, &[&number(link), &limit(most)]).await?;
    Ok(rows.iter().map(|row| decision(row).1).collect())
}

pub(super) async fn decisions_since(
    from: &Line,
    since: Timestamp,
    after: u64,
    most: usize,
) -> Result<Vec<(u64, Decision)>, LedgerError> {
    const SQL: &str = r#"
        select number, link, at, field, rule, verdict, winner, side, sequence, "values"
          from truce.decision where number > $1 and at >= $2 order by number limit $3"#;
    let given: [Parameter<'_>; 3] = [&after.cast_signed(), &moment(since), &limit(most)];
    let rows = from.ask("load decisions", SQL, &given).await?;
    Ok(rows.iter().map(decision).collect())
}

pub(super) async fn receipts(
    from: &Line,
    link: LinkId,
    most: usize,
) -> Result<Vec<Receipt>, LedgerError> {
    const SQL: &str = "
        select side, sequence, at, answer, words from truce.receipt
         where link = $1 order by at desc, sequence desc limit $2";
    let rows = from.ask("load answers", SQL, &[&number(link), &limit(most)]).await?;
    let receipt = |row: &Row| {
        Some(Receipt {
            link,
            side: side(row.get(0))?,
            sequence: row.get::<_, i32>(1).cast_unsigned(),
            at: timestamp(row.get(2)),
            answer: row.get(3),
            words: row.get(4),
        })
    };
    Ok(rows.iter().filter_map(receipt).collect())
}

/// In bites, so that no statement runs for minutes over a year's decisions.
pub(super) async fn prune(from: &Line, before: Timestamp) -> Result<u64, LedgerError> {
    const BITE: i64 = 10_000;
    const DECISIONS: &str = "
        with bite as (
          delete from truce.decision where ctid = any (array(
            select ctid from truce.decision where at < $1 limit $2))
          returning 1)
        select count(*) from bite";
    const RECEIPTS: &str = "
        with bite as (
          delete from truce.receipt where ctid = any (array(
            select ctid from truce.receipt where at < $1 limit $2))
          returning 1)
        select count(*) from bite";
    let mut pruned = 0;
    for sql in [DECISIONS, RECEIPTS] {
        loop {
            let rows = from.ask("prune decisions", sql, &[&moment(before), &BITE]).await?;
            let bite: i64 = rows.first().map_or(0, |row| row.get(0));
            pruned += bite.cast_unsigned();
            if bite < BITE {
                break;
            }
        }
    }
    Ok(pruned)
}

fn decision(row: &Row) -> (u64, Decision) {
    let verdict: &str = row.get(5);
    let verdict = Verdict::ALL.into_iter().find(|known| known.name() == verdict);
    let write = side(row.get(7)).zip(row.get::<_, Option<i32>>(8).map(i32::cast_unsigned));
    let decision = Decision {
        link: LinkId(row.get::<_, i64>(1).cast_unsigned()),
        at: timestamp(row.get(2)),
        field: row.get::<_, Option<i16>>(3).map(|field| Field(field.cast_unsigned())),
        rule: row.get(4),
        verdict: verdict.expect("the table takes no other"),
        winner: side(row.get(6)),
        write,
        values: row.get(9),
    };
    (row.get::<_, i64>(0).cast_unsigned(), decision)
}

fn side(name: Option<&str>) -> Option<Side> {
    Side::BOTH.into_iter().find(|side| Some(side.name()) == name)
}
