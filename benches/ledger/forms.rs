//! Which form a body is kept in, and how a batch comes into its table.

use std::fmt::Write as _;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::types::{ToSql, Type};
use truce::ledger::stored::{Columns, decode, encode};
use truce::postgres::Session;
use truce::reconcile::{Link, LinkId, LinkState, RecordId, Sides};

use crate::people;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) way: Way,
    pub(crate) fillfactor: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Unnest,
    Copy,
}

pub(crate) const FORMS: [Form; 6] = [
    Form { name: "text", table: "link_0", column: "text", way: Way::Unnest, fillfactor: 50 },
    Form {
        name: "text, full pages",
        table: "link_1",
        column: "text",
        way: Way::Unnest,
        fillfactor: 100,
    },
    Form { name: "json", table: "link_2", column: "json", way: Way::Unnest, fillfactor: 50 },
    Form { name: "jsonb", table: "link_3", column: "jsonb", way: Way::Unnest, fillfactor: 50 },
    Form { name: "bytea", table: "link_4", column: "bytea", way: Way::Unnest, fillfactor: 50 },
    Form { name: "text, copy", table: "link_5", column: "text", way: Way::Copy, fillfactor: 50 },
];

/// What one round of batches gave.
pub(crate) struct Figures {
    pub(crate) rows_per_second: f64,
    pub(crate) load_share: f64,
    pub(crate) wal_per_row: f64,
    pub(crate) hot_share: f64,
}

impl Form {
    pub(crate) async fn make(self, session: &Session, links: u64) {
        let ddl = format!(
            "create table {table} (id bigint primary key, entity smallint not null,
               state text not null, campaign text, crm text, version bigint not null,
               extras bigint not null, due_at timestamptz, due_lane smallint,
               body {} not null) with (fillfactor = {}, autovacuum_enabled = false);
             create unique index on {table} (entity, campaign) where state = 'live';
             create unique index on {table} (entity, crm) where state = 'live';
             create table if not exists feed (name text primary key, cursor json);
             insert into feed values ('campaign', '0') on conflict do nothing;",
            self.column,
            self.fillfactor,
            table = self.table,
        );
        session.batch_execute(&ddl).await.unwrap();
        let insert = format!(
            "insert into {} select n.id, 1, 'live', n.campaign, n.crm, 1, 0, null, null,
               {} from unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
               as n (id, campaign, crm, body)",
            self.table,
            self.cast("n.body"),
        );
        for from in (1..=links).step_by(5000) {
            let made: Vec<Link> = (from..(from + 5000).min(links + 1)).map(people::link).collect();
            let ids: Vec<i64> = made.iter().map(|link| id(link.id)).collect();
            let text = |record: &Option<RecordId>| record.as_ref().unwrap().to_string();
            let campaign: Vec<String> =
                made.iter().map(|l| text(&l.seen.campaign.record)).collect();
            let crm: Vec<String> = made.iter().map(|l| text(&l.seen.crm.record)).collect();
            let bodies: Vec<String> = made.iter().map(encode).collect();
            session.execute(&insert, &[&ids, &campaign, &crm, &bodies]).await.unwrap();
        }
        session.batch_execute(&format!("vacuum analyze {}", self.table)).await.unwrap();
    }

    pub(crate) async fn round(self, session: &mut Session, batches: &[Vec<u64>]) -> Figures {
        let load = format!(
            "select id, version, campaign, crm, {} from {}
             where entity = 1 and state = 'live' and campaign = any($1)",
            self.read("body"),
            self.table,
        );
        let load = session.prepare(&load).await.unwrap();
        let copied =
            "create temp table if not exists incoming (id bigint, version bigint, body text)
                      on commit delete rows";
        session.batch_execute(copied).await.unwrap();
        let source = match self.way {
            Way::Unnest => {
                "unnest($1::bigint[], $2::bigint[], $3::text[]) as n (id, version, body)"
            }
            Way::Copy => "incoming as n",
        };
        let store = format!(
            "update {} as l set version = l.version + 1, body = {} from {source}
             where l.id = n.id and l.version = n.version returning l.id",
            self.table,
            self.cast("n.body"),
        );
        let store = session.prepare(&store).await.unwrap();
        let before = wal(session).await;
        let began = Instant::now();
        let (mut loading, mut rows) = (0.0, 0);
        for (round, batch) in batches.iter().enumerate() {
            let asked = Instant::now();
            let keys: Vec<String> = batch.iter().map(|n| people::campaign_key(*n)).collect();
            let mut links = self.load(session, &load, &keys).await;
            loading += asked.elapsed().as_secs_f64();
            assert_eq!(links.len(), batch.len());
            for (link, _) in &mut links {
                people::observe(link, round as u64);
            }
            rows += links.len();
            self.store(session, &store, &links).await;
        }
        let took = began.elapsed().as_secs_f64();
        let wal = wal(session).await - before;
        Figures {
            rows_per_second: rows as f64 / took,
            load_share: loading / took,
            wal_per_row: wal as f64 / rows as f64,
            hot_share: hot(session, self.table).await,
        }
    }

    async fn load(
        self,
        session: &Session,
        statement: &tokio_postgres::Statement,
        keys: &[String],
    ) -> Vec<(Link, i64)> {
        let rows = session.query(statement, &[&keys]).await.unwrap();
        let link = |row: &tokio_postgres::Row| {
            let columns = Columns {
                id: LinkId(row.get::<_, i64>(0).cast_unsigned()),
                entity: people::ENTITY,
                state: LinkState::Live,
                records: Sides {
                    campaign: row.get::<_, Option<&str>>(2).map(RecordId::from),
                    crm: row.get::<_, Option<&str>>(3).map(RecordId::from),
                },
            };
            let body = match self.column {
                "bytea" => std::str::from_utf8(row.get(4)).unwrap(),
                _ => row.get(4),
            };
            (decode(columns, body).unwrap(), row.get(1))
        };
        rows.iter().map(link).collect()
    }

    async fn store(
        self,
        session: &mut Session,
        statement: &tokio_postgres::Statement,
        links: &[(Link, i64)],
    ) {
        let transaction = session.transaction().await.unwrap();
        let ids: Vec<i64> = links.iter().map(|(link, _)| id(link.id)).collect();
        let versions: Vec<i64> = links.iter().map(|(_, version)| *version).collect();
        let bodies: Vec<String> = links.iter().map(|(link, _)| encode(link)).collect();
        let unnested: [&(dyn ToSql + Sync); 3] = [&ids, &versions, &bodies];
        let parameters = match self.way {
            Way::Unnest => &unnested[..],
            Way::Copy => {
                let sink = transaction.copy_in("copy incoming from stdin").await.unwrap();
                let mut sink = pin!(sink);
                let mut text = String::new();
                for ((id, version), body) in ids.iter().zip(&versions).zip(&bodies) {
                    let body = body.replace('\\', "\\\\");
                    writeln!(text, "{id}\t{version}\t{body}").unwrap();
                }
                sink.send(Bytes::from(text)).await.unwrap();
                sink.close().await.unwrap();
                &[]
            }
        };
        let stored = transaction.query(statement, parameters).await.unwrap();
        assert_eq!(stored.len(), links.len());
        let cursor = "update feed set cursor = $1 where name = 'campaign'";
        let cursor = transaction.prepare_typed(cursor, &[Type::JSON]).await.unwrap();
        transaction.execute(&cursor, &[&serde_json::json!(ids[0])]).await.unwrap();
        transaction.commit().await.unwrap();
    }

    fn cast(self, body: &str) -> String {
        match self.column {
            "bytea" => format!("convert_to({body}, 'UTF8')"),
            column => format!("{body}::{column}"),
        }
    }

    fn read(self, body: &str) -> String {
        match self.column {
            "bytea" => body.to_owned(),
            _ => format!("{body}::text"),
        }
    }
}

fn id(link: LinkId) -> i64 {
    link.0.cast_signed()
}

pub(crate) async fn wal(session: &Session) -> i64 {
    let lsn = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
    session.query_one(lsn, &[]).await.unwrap().get(0)
}

async fn hot(session: &Session, table: &str) -> f64 {
    // The server tells its counters once a second at most, unless it is asked to.
    session.batch_execute("select pg_stat_force_next_flush()").await.unwrap();
    let share = "select coalesce(n_tup_hot_upd::float8 / nullif(n_tup_upd, 0), 0)
                 from pg_stat_user_tables where relname = $1";
    session.query_one(share, &[&table]).await.unwrap().get(0)
}
