//! Campaign's log to the durable ledger: the agent's own feed, absorbing and store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use truce::agent::absorb::absorb;
use truce::agent::clock::AgentClock;
use truce::agent::epochs::Epochs;
use truce::agent::time::Ticks;
use truce::agent::{Desk, Plans};
use truce::campaign::capture::{CampaignFeed, FeedOptions};
use truce::campaign::scan::{CampaignScan, ScanOptions};
use truce::campaign::slot;
use truce::campaign::table::Tables;
use truce::ledger::{Batch, Keep, Ledger as _, PostgresLedger, migrate};
use truce::peer::{Cursor, Feed as _, Scan as _};
use truce::postgres::Session;
use truce::reconcile::Side;
use truce::simulator::database::{Database, DatabaseOptions, Durability};
use truce::simulator::database_campaign::CampaignDatabase;

use crate::{process, recipients};

/// As the config's defaults have it.
const PAGE_ROWS: usize = 5000;
const PAGE_BYTES: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_millis(250);
/// Links of one batch while the ledger is filled.
const FILL: usize = 2000;

struct World {
    campaign: CampaignDatabase,
    admin: Session,
    ledger: PostgresLedger,
    clock: AgentClock,
    plans: Plans,
    tables: Tables,
    database: Database,
}

/// Where the time went, in seconds.
#[derive(Default)]
struct Spent {
    whole: f64,
    paging: f64,
    absorbing: f64,
    pages: u64,
}

pub(crate) async fn run(rows: u64, per_commit: u64) {
    let world = World::start(rows).await;
    world.link_all().await;
    world.update(rows, per_commit).await;
    let (ours, servers) = (std::process::id(), world.servers().await);
    let before = process::cpu_seconds(ours).unwrap();
    // It stays until the server's processes were looked at: its walsender ends with it.
    let mut feed = CampaignFeed::new(feed_options(&world.campaign), world.tables.clone());
    let spent = world.take_in(&mut feed, rows).await;
    let cpu = process::cpu_seconds(ours).unwrap() - before;
    let after = world.servers().await;
    let used = |name: &str| {
        let of = |seconds: &BTreeMap<String, f64>| seconds.get(name).copied().unwrap_or_default();
        of(&after) - of(&servers)
    };
    let each = 1e6 / rows as f64;
    println!("log to durable ledger: {rows} single-column updates of linked recipients,");
    println!("  13 mapped fields, {per_commit} a commit, all of it waiting when we begin");
    println!("  rows a second            {:>9.0}", rows as f64 / spent.whole);
    println!("  our processor, µs a row  {:>9.1}", cpu * each);
    println!("  walsender, µs a row      {:>9.1}", used("walsender") * each);
    println!("  ledger server, µs a row  {:>9.1}", used("ledger") * each);
    println!(
        "  of the time: waiting for and decoding pages {:.0} %, absorbing and storing {:.0} %",
        100.0 * spent.paging / spent.whole,
        100.0 * spent.absorbing / spent.whole
    );
    println!("  {} pages, {:.0} rows each", spent.pages, rows as f64 / spent.pages as f64);
}

impl World {
    async fn start(rows: u64) -> Self {
        let options = DatabaseOptions {
            durability: Durability::Full,
            settings: crate::server_settings(),
            ..DatabaseOptions::default()
        };
        let database = Database::start(options).await.unwrap();
        let campaign = database.create_campaign("campaign").await.unwrap();
        let admin = database.session("campaign").await.unwrap();
        admin.batch_execute("create database truce").await.unwrap();
        let set_up = "grant select on nmsrecipient, xtkoption to truce;
             alter table nmsrecipient replica identity using index nmsrecipient_id;
             create publication truce for table nmsrecipient";
        admin.batch_execute(set_up).await.unwrap();
        admin.batch_execute(&recipients::fill(rows)).await.unwrap();
        slot::create(&admin, "truce").await.unwrap();
        let tables = recipients::tables(&admin).await;
        let url = database.url().with_database("truce");
        migrate(&url).await.unwrap();
        let ledger = PostgresLedger::open(&url).await.unwrap();
        let clock = AgentClock::new(1, Epochs { ledger: 1, campaign: 1, crms: vec![1] });
        let plans = recipients::plans();
        Self { campaign, admin, ledger, clock, plans, tables, database }
    }

    /// Makes a link in agreement for each recipient, from what a scan sees of it.
    async fn link_all(&self) {
        let truce = self.campaign.truce.clone();
        let mut scan = CampaignScan::new(
            truce,
            "public",
            self.tables.clone(),
            ScanOptions { rows: FILL, ..ScanOptions::default() },
        );
        let mut ticks = Ticks::new(&self.clock, 0, Side::Campaign);
        let policy = &self.plans[&recipients::RECIPIENTS].policy;
        let mut after = None;
        loop {
            let found = scan.scan(recipients::RECIPIENTS, after.as_ref(), FILL, &mut ticks).await;
            let found = found.unwrap();
            let Some(last) = found.last() else { break };
            after = Some(last.record.clone());
            let mut batch = Batch::new(Timestamp::now());
            let numbers = self.ledger.draw(found.len()).await.unwrap();
            for (seen, id) in found.iter().zip(numbers) {
                let mut keep = Keep::new(recipients::linked(id, seen, policy, batch.now));
                let email = format!("recipient{}@example.com", seen.record.0);
                keep.keys.campaign.insert(email.clone());
                keep.keys.crm.insert(email);
                batch.links.push(keep);
            }
            self.ledger.store(batch).await.unwrap();
        }
        let ledger = self.database.session("truce").await.unwrap();
        ledger.batch_execute("vacuum analyze").await.unwrap();
        ledger.close().await;
    }

    async fn update(&self, rows: u64, per_commit: u64) {
        let update = format!(
            "do $$ begin for i in 0 .. {} loop
                 update nmsrecipient set stext1 = 'changed ' || irecipientid
                 where irecipientid > i * {per_commit} and irecipientid <= (i + 1) * {per_commit};
                 commit;
             end loop; end $$",
            rows.div_ceil(per_commit) - 1
        );
        self.admin.batch_execute(&update).await.unwrap();
        self.admin.batch_execute("checkpoint").await.unwrap();
    }

    /// What the agent's loop does with each page: read, absorb and store with its cursor, confirm.
    async fn take_in(&self, feed: &mut CampaignFeed, rows: u64) -> Spent {
        let mut ticks = Ticks::new(&self.clock, 0, Side::Campaign);
        let Self { ledger, clock, plans, .. } = self;
        let desk = Desk { ledger, clock, plans, account: 0 };
        let (mut cursor, mut spent, mut taken) = (Cursor::start(), Spent::default(), 0);
        let begun = Instant::now();
        while taken < rows {
            let asked = Instant::now();
            let page = feed.page(&cursor, PATIENCE, &mut ticks).await.unwrap();
            spent.paging += asked.elapsed().as_secs_f64();
            let absorbs = Instant::now();
            let cursors = BTreeMap::from([("feed/campaign".to_owned(), page.cursor.clone())]);
            let absorbed = absorb(&desk, Side::Campaign, &page.observations, &cursors).await;
            let absorbed = absorbed.unwrap();
            spent.absorbing += absorbs.elapsed().as_secs_f64();
            feed.confirm(&page.cursor).await.unwrap();
            assert_eq!((absorbed.changed, absorbed.new), (page.observations.len(), 0));
            taken += page.observations.len() as u64;
            spent.pages += 1;
            cursor = page.cursor;
        }
        spent.whole = begun.elapsed().as_secs_f64();
        assert_eq!(taken, rows, "every row arrives once");
        let due: u64 = ledger.counts(Timestamp::MAX).await.unwrap().due.values().sum();
        assert_eq!(due, rows, "each of them is due in the CRM");
        spent
    }

    /// Seconds that the server's processes have used: those that serve the ledger, the walsender.
    async fn servers(&self) -> BTreeMap<String, f64> {
        let sql =
            "select pid, case backend_type when 'walsender' then 'walsender' else 'ledger' end
                   from pg_stat_activity where backend_type = 'walsender' or datname = 'truce'";
        let mut seconds = BTreeMap::new();
        for row in self.admin.query(sql, &[]).await.unwrap() {
            let pid = u32::try_from(row.get::<_, i32>(0)).unwrap();
            *seconds.entry(row.get(1)).or_default() += process::cpu_seconds(pid).unwrap_or(0.0);
        }
        seconds
    }
}

fn feed_options(campaign: &CampaignDatabase) -> FeedOptions {
    FeedOptions {
        url: campaign.truce.clone(),
        schema: "public".into(),
        slot: "truce".into(),
        publication: "truce".into(),
        rows: PAGE_ROWS,
        bytes: PAGE_BYTES,
        idle: Duration::from_secs(10),
        idle_bytes: 16 << 20,
        statement_timeout: Duration::from_secs(30),
        feedback: Duration::from_secs(10),
        read_delay: Duration::from_millis(1),
    }
}
