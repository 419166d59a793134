//! A mapped column that vanishes, or becomes something else, while the agent runs: its field is
//! paused, aloud, at each door; its neighbours go on, and so does Campaign; when it is back, what
//! was missed is compared and what was refused is tried again.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod campaign_world;

use std::collections::BTreeSet;
use std::time::Duration;

use campaign_world::{
    ACCOUNTS, BIRTH, EMAIL, FIRST_NAME, MEMBER, NAME, Noted, OPTED_OUT, RECIPIENTS, Ticks, World,
    create, update, wanted,
};
use truce::campaign::apply::CampaignWriter;
use truce::campaign::capture::CampaignFeed;
use truce::campaign::carry_out::Patience;
use truce::campaign::scan::{CampaignScan, ScanOptions};
use truce::campaign::table::Tables;
use truce::campaign::watch::{TableWatch, Watched};
use truce::peer::{Cursor, Feed as _, Page, Scan as _, Writer as _};
use truce::reconcile::{
    Consent, Entity, Observation, Outcome, Presence, Refusal, RefusalKind, Value, Write,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// All doors over one set of tables, as the agent opens them.
struct Doors {
    world: World,
    tables: Tables,
    feed: CampaignFeed,
    cursor: Cursor,
    scan: CampaignScan,
    writer: CampaignWriter,
    watch: TableWatch,
}

impl Doors {
    async fn open() -> Self {
        let world = World::start().await;
        world.set_up().await;
        world
            .sql(
                "insert into nmsrecipient (irecipientid, semail, sfirstname, smember)
                 values (1, 'a@x.org', 'Ann', 'M1'), (2, 'b@x.org', 'Bob', 'M2')",
            )
            .await;
        let tables = world.tables().await;
        let url = world.campaign.truce.clone();
        let writer = world.writer_on(tables.clone(), &url, Duration::from_millis(200)).await;
        let scan = CampaignScan::new(url, "public", tables.clone(), ScanOptions::default());
        let feed = world.feed_on(tables.clone(), 1000);
        let watch = TableWatch::new(&tables);
        let mut doors = Self { world, tables, feed, cursor: Cursor::start(), scan, writer, watch };
        doors.gather(2).await;
        doors
    }

    async fn page(&mut self) -> Page {
        let page = self.feed.page(&self.cursor, PATIENCE, &mut Ticks::default()).await.unwrap();
        self.cursor = page.cursor.clone();
        page
    }

    /// What the log tells until so many observations came, and what is to be compared.
    async fn gather(&mut self, wanted: usize) -> (Vec<Observation>, BTreeSet<Entity>) {
        let (mut seen, mut compare) = (Vec::new(), BTreeSet::new());
        while seen.len() < wanted {
            let page = self.page().await;
            compare.extend(page.compare);
            seen.extend(page.observations);
        }
        assert_eq!(seen.len(), wanted, "{seen:?}");
        (seen, compare)
    }

    /// Until the log asks for a comparison.
    async fn compared(&mut self) -> Vec<Entity> {
        loop {
            let page = self.page().await;
            if !page.compare.is_empty() {
                return page.compare;
            }
        }
    }

    async fn rows(&mut self) -> Vec<Observation> {
        self.scan.scan(RECIPIENTS, None, 10, &mut Ticks::default()).await.unwrap()
    }

    async fn write(&self, writes: Vec<Write>) -> Vec<Outcome> {
        self.writer.write(writes, &Noted::default(), &mut Ticks::default()).await.unwrap()
    }

    async fn look(&mut self) -> Watched {
        let agent = self.world.database.session("campaign").await.unwrap();
        let patience = Patience { attempts: 1, ..Patience::default() };
        self.watch.look(&agent, &wanted(), &self.tables, patience).await.unwrap()
    }

    async fn sql(&self, statements: &str) {
        self.world.sql(statements).await;
    }
}

fn member(key: &str, value: &str) -> Write {
    update(RECIPIENTS, key, &[(MEMBER, Value::text(value))], &[])
}

fn first_name(key: &str, value: &str) -> Write {
    update(RECIPIENTS, key, &[(FIRST_NAME, Value::text(value))], &[])
}

fn refusal(outcome: &Outcome) -> &Refusal {
    let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
    refusal
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_gone_pauses_its_field_at_every_door_and_no_other() {
    let mut doors = Doors::open().await;
    doors.sql("alter table nmsrecipient drop column smember").await;
    doors.sql("update nmsrecipient set sfirstname = 'Eve' where irecipientid = 1").await;
    doors.sql("insert into cusaccount (icusaccountid, sname) values (4, 'Acme')").await;

    let (seen, compare) = doors.gather(2).await;
    assert_eq!(
        (seen[0].value(FIRST_NAME), seen[0].value(MEMBER)),
        (Some(&Value::text("Eve")), None)
    );
    assert_eq!(seen[1].value(NAME), Some(&Value::text("Acme")));
    assert!(compare.is_empty(), "there is nothing to be read that was not read before");

    for seen in doors.rows().await {
        assert!(seen.value(FIRST_NAME).is_some() && seen.value(EMAIL).is_some(), "{seen:?}");
        assert_eq!(seen.value(MEMBER), None);
    }

    let both = update(
        RECIPIENTS,
        "2",
        &[(FIRST_NAME, Value::text("Ben")), (MEMBER, Value::text("M9"))],
        &[],
    );
    let outcomes = doors.write(vec![both, first_name("1", "Eva")]).await;
    let refused = refusal(&outcomes[0]);
    assert_eq!((&refused.kind, &*refused.fields), (&RefusalKind::Record, &[MEMBER][..]));
    assert!(refused.message.contains("`smember`") && refused.message.contains("is gone"));
    assert!(is_done(&outcomes[1]), "{outcomes:?}");
    // What the core sends next: the field that was refused is left out.
    assert!(is_done(&doors.write(vec![first_name("2", "Ben")]).await[0]));

    let watched = doors.look().await;
    let [alarm] = watched.alarms.as_slice() else { panic!("{watched:?}") };
    for words in
        ["`smember`", "character varying(40)", "is gone", "fields of mapping nmsrecipient: member"]
    {
        assert!(alarm.what.contains(words), "{alarm:?}");
    }
    assert!(watched.back.is_empty() && watched.compare.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_back_is_read_and_written_again_and_what_was_missed_is_compared() {
    let mut doors = Doors::open().await;
    doors.sql("alter table nmsrecipient rename column smember to smember_old").await;
    doors.sql("update nmsrecipient set smember_old = 'unseen' where irecipientid = 2").await;
    assert_eq!(doors.gather(1).await.0[0].value(MEMBER), None);
    assert_eq!(doors.look().await.alarms.len(), 1);
    refusal(&doors.write(vec![member("1", "M7")]).await[0]);

    doors.sql("alter table nmsrecipient rename column smember_old to smember").await;
    let watched = doors.look().await;
    assert_eq!((watched.alarms.len(), watched.back), (0, [RECIPIENTS].into()));
    assert_eq!(doors.compared().await, [RECIPIENTS], "nobody saw what was edited meanwhile");
    let rows = doors.rows().await;
    assert_eq!(rows[1].value(MEMBER), Some(&Value::text("unseen")));
    assert!(is_done(&doors.write(vec![member("1", "M7")]).await[0]));
    let (seen, _) = doors.gather(1).await;
    assert_eq!(seen[0].value(MEMBER), Some(&Value::text("M7")));
    assert!(doors.look().await.back.is_empty(), "it is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_dropped_and_made_again_between_two_looks_is_compared_all_the_same() {
    let mut doors = Doors::open().await;
    doors
        .sql(
            "begin; alter table nmsrecipient drop column smember;
             alter table nmsrecipient add column smember varchar(40) default 'fresh'; commit",
        )
        .await;
    let rows = doors.rows().await;
    assert_eq!(rows[0].value(MEMBER), Some(&Value::text("fresh")), "no row of the log says so");
    assert_eq!(doors.compared().await, [RECIPIENTS]);
    // The same while nobody ran: the cursor remembers which column it was.
    doors.feed.stop().await.unwrap();
    doors
        .sql(
            "alter table nmsrecipient drop column smember;
             alter table nmsrecipient add column smember varchar(40) default 'again'",
        )
        .await;
    doors.feed = doors.world.feed(1000).await;
    assert_eq!(doors.compared().await, [RECIPIENTS]);
    doors.feed.stop().await.unwrap();
    doors.feed = doors.world.feed(1000).await;
    doors.sql("update nmsrecipient set sfirstname = 'Eve' where irecipientid = 1").await;
    assert_eq!(doors.gather(1).await.1, BTreeSet::new(), "and it is compared once");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_pauses_the_field_and_one_that_fits_does_not() {
    let mut doors = Doors::open().await;
    doors
        .sql(
            "alter table nmsrecipient alter column smember type integer using irecipientid;
             alter table nmsrecipient alter column tsbirth type bytea using null;
             alter table nmsrecipient alter column iaccountid type bigint;
             alter table nmsrecipient alter column sfirstname type text;
             update nmsrecipient set smember = 6, sfirstname = 'Eve' where irecipientid = 1",
        )
        .await;
    let (seen, _) = doors.gather(1).await;
    assert_eq!(seen[0].value(FIRST_NAME), Some(&Value::text("Eve")));
    assert_eq!((seen[0].value(MEMBER), seen[0].value(BIRTH)), (None, None));
    let rows = doors.rows().await;
    assert_eq!((rows[0].value(MEMBER), rows[0].value(BIRTH)), (None, None));
    assert_eq!(rows[0].value(FIRST_NAME), Some(&Value::text("Eve")));
    let outcomes = doors.write(vec![member("1", "7"), first_name("1", "Eva")]).await;
    assert!(refusal(&outcomes[0]).message.contains("was character varying(40) and is integer now"));
    assert!(is_done(&outcomes[1]), "{outcomes:?}");
    assert_eq!(doors.look().await.alarms.len(), 2);
    // Back to a type that fits, though not the one it was.
    doors.sql("alter table nmsrecipient alter column smember type text").await;
    doors.look().await;
    assert!(doors.compared().await.contains(&RECIPIENTS));
    assert!(is_done(&doors.write(vec![member("1", "M7")]).await[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structure_update_between_the_making_of_a_batch_and_its_statement_is_tried_later() {
    let doors = Doors::open().await;
    // The writer looks, and then waits for the table, which is being changed.
    let other = doors.world.another_session().await;
    let url = doors.world.campaign.truce.clone();
    drop(doors.writer);
    let writer = doors.world.writer_on(doors.tables.clone(), &url, Duration::from_mins(1)).await;
    other.batch_execute("begin; alter table nmsrecipient drop column smember").await.unwrap();
    let (notes, mut ticks) = (Noted::default(), Ticks::default());
    let write = writer.write(vec![member("1", "M7"), first_name("2", "Ben")], &notes, &mut ticks);
    let superuser = doors.world.database.session("campaign").await.unwrap();
    let update = async {
        let waits = "select count(*) from pg_stat_activity
                      where usename = 'truce' and wait_event_type = 'Lock'";
        while superuser.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        other.batch_execute("commit").await.unwrap();
    };
    let (outcomes, ()) = tokio::join!(write, update);
    let outcomes = outcomes.unwrap();
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Outcome::Later(_))), "{outcomes:?}");
    let (notes, mut ticks) = (Noted::default(), Ticks::default());
    let outcomes = writer
        .write(vec![member("1", "M7"), first_name("2", "Ben")], &notes, &mut ticks)
        .await
        .unwrap();
    assert_eq!(refusal(&outcomes[0]).fields, [MEMBER]);
    assert!(is_done(&outcomes[1]), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_passes_both_ways_without_the_column_that_implies_it() {
    let mut doors = Doors::open().await;
    doors.sql("alter table nmsrecipient drop column iblacklist").await;
    doors.sql("update nmsrecipient set iblacklistemail = 1 where irecipientid = 1").await;
    doors.sql("update nmsrecipient set sfirstname = 'Ben' where irecipientid = 2").await;
    let (seen, _) = doors.gather(2).await;
    assert_eq!(seen[0].value(OPTED_OUT), Some(&Value::Consent(Consent::Out)));
    assert_eq!(seen[1].value(OPTED_OUT), None, "the column that is gone might say otherwise");
    let (out, r#in) = (Value::Consent(Consent::Out), Value::Consent(Consent::In));
    let opt_out =
        update(RECIPIENTS, "2", &[(OPTED_OUT, out.clone())], &[(OPTED_OUT, r#in.clone())]);
    let opt_in = update(RECIPIENTS, "1", &[(OPTED_OUT, r#in)], &[(OPTED_OUT, out)]);
    let outcomes = doors.write(vec![opt_out, opt_in]).await;
    assert!(is_done(&outcomes[0]), "{outcomes:?}");
    assert_eq!(refusal(&outcomes[1]).fields, [OPTED_OUT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_not_doubled_while_what_tells_them_apart_is_gone() {
    let doors = Doors::open().await;
    doors.sql("alter table nmsrecipient drop column semail").await;
    doors.sql("alter table nmsrecipient drop column tscreated, drop column tslastmodified").await;
    let matched = [(EMAIL, Value::text("a@x.org"))];
    let name = [(FIRST_NAME, Value::text("Ann"))];
    let twin = create(RECIPIENTS, &"77".into(), &name, &matched);
    let new = create(RECIPIENTS, &"78".into(), &name, &[]);
    let outcomes = doors.write(vec![twin, new]).await;
    assert!(refusal(&outcomes[0]).message.contains("`semail`"));
    assert!(is_done(&outcomes[1]), "without the audit's columns: {outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_stops_its_table_and_no_other() {
    let mut doors = Doors::open().await;
    doors.sql("alter table cusaccount rename column icusaccountid to ikey").await;
    doors.sql("insert into cusaccount (ikey, sname) values (4, 'Acme')").await;
    doors.sql("update nmsrecipient set sfirstname = 'Eve' where irecipientid = 1").await;
    let (seen, _) = doors.gather(1).await;
    assert_eq!(seen[0].value(FIRST_NAME), Some(&Value::text("Eve")));
    let scanned = doors.scan.scan(ACCOUNTS, None, 10, &mut Ticks::default()).await;
    assert!(scanned.unwrap_err().to_string().contains("the key `icusaccountid`"));
    assert_eq!(doors.rows().await.len(), 2);
    doors.sql("alter table cusaccount rename column ikey to icusaccountid").await;
    let scanned = doors.scan.scan(ACCOUNTS, None, 10, &mut Ticks::default()).await.unwrap();
    assert!(matches!(scanned[0].presence, Presence::Here { .. }));
    assert_eq!(doors.compared().await, [ACCOUNTS]);
}
