//! WAL to decoded messages, against `pg_recvlogical`, in one run.
//!
//! Both read the same backlog: the slot is copied for each round. Ours decodes every message and
//! walks every column of every row; `pg_recvlogical` writes what it gets to `/dev/null`. Rounds are
//! interleaved and their order alternates, because machines have moods; the ratio of each round is
//! what counts, and its median. The server's own process is the limit for both, so its share of the
//! time is shown too.
//!
//! `TRUCE_BENCH_ROWS` (200000), `TRUCE_BENCH_ROUNDS` (7), `TRUCE_BENCH_ROWS_PER_COMMIT` (100).
#![expect(clippy::unwrap_used, reason = "a bench may fail by panicking")]
#![expect(clippy::print_stdout, reason = "a bench prints what it saw")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use truce::campaign::pgoutput::{Datum, Message, Tuple};
use truce::campaign::slot;
use truce::campaign::stream::{Frame, StartOptions, Stream};
use truce::postgres::{ServerUrl, Session};
use truce::reconcile::Lsn;
use truce::simulator::database::{Database, DatabaseOptions};
use truce::simulator::database_campaign::CampaignDatabase;

/// The kernel counts a process's time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often a running client is looked at.
const WATCH: Duration = Duration::from_millis(20);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if arguments.next().as_deref() == Some("--client") {
        let rest: Vec<String> = arguments.collect();
        let client = runtime.spawn(async move { drain(&rest).await });
        println!("{}", runtime.block_on(client).unwrap());
        return;
    }
    runtime.block_on(compare());
}

/// What one client did.
struct Run {
    seconds: f64,
    client_cpu: f64,
    server_cpu: f64,
    rss_mib: f64,
}

struct Backlog {
    database: Database,
    campaign: CampaignDatabase,
    admin: Session,
    rows: u64,
    end: Lsn,
}

async fn compare() {
    let (rows, rounds) = (setting("TRUCE_BENCH_ROWS", 200_000), setting("TRUCE_BENCH_ROUNDS", 7));
    let per_commit = setting("TRUCE_BENCH_ROWS_PER_COMMIT", 100);
    let backlog = backlog(rows, per_commit).await;
    println!("{rows} single-column updates of a 48-column recipient, {per_commit} a commit");
    println!("round  truce rows/s  recvlogical rows/s  ratio   CPU s (client+server)     RSS MiB");
    let mut runs = Vec::new();
    // The first round warms the caches and does not count.
    for round in 0..=rounds {
        let pair = if round % 2 == 0 {
            let ours = backlog.run(Client::Truce).await;
            (ours, backlog.run(Client::Recvlogical).await)
        } else {
            let theirs = backlog.run(Client::Recvlogical).await;
            (backlog.run(Client::Truce).await, theirs)
        };
        println!("{}", line(round, rows, &pair));
        if 0 < round {
            runs.push(pair);
        }
    }
    summarise(rows, &runs);
}

fn line(round: u64, rows: u64, (ours, theirs): &(Run, Run)) -> String {
    let (a, b) = (rows as f64 / ours.seconds, rows as f64 / theirs.seconds);
    format!(
        "{round:>5}  {a:>12.0}  {b:>18.0}  {:>5.2}   {:.2}+{:.2} vs {:.2}+{:.2}   {:.1} vs {:.1}",
        a / b,
        ours.client_cpu,
        ours.server_cpu,
        theirs.client_cpu,
        theirs.server_cpu,
        ours.rss_mib,
        theirs.rss_mib
    )
}

fn summarise(rows: u64, runs: &[(Run, Run)]) {
    let per_row = 1e6 / rows as f64;
    let spread = |name: &str, figure: &dyn Fn(&(Run, Run)) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let (low, high) = (figures[0], figures[figures.len() - 1]);
        println!("{name:<42} {:>9.2}   ({low:.2} to {high:.2})", figures[figures.len() / 2]);
    };
    println!("\nmedian of {} rounds, with the spread", runs.len());
    spread("ratio of rows/s to pg_recvlogical", &|(a, b)| b.seconds / a.seconds);
    spread("truce, thousand rows/s", &|(a, _)| rows as f64 / a.seconds / 1e3);
    spread("pg_recvlogical, thousand rows/s", &|(_, b)| rows as f64 / b.seconds / 1e3);
    spread("truce, client CPU, µs a row", &|(a, _)| a.client_cpu * per_row);
    spread("pg_recvlogical, client CPU, µs a row", &|(_, b)| b.client_cpu * per_row);
    spread("truce, server CPU, µs a row", &|(a, _)| a.server_cpu * per_row);
    spread("pg_recvlogical, server CPU, µs a row", &|(_, b)| b.server_cpu * per_row);
    spread("truce, server busy, share of the time", &|(a, _)| a.server_cpu / a.seconds);
    spread("pg_recvlogical, server busy, share", &|(_, b)| b.server_cpu / b.seconds);
    spread("truce, peak RSS, MiB", &|(a, _)| a.rss_mib);
    spread("pg_recvlogical, peak RSS, MiB", &|(_, b)| b.rss_mib);
}

async fn backlog(rows: u64, per_commit: u64) -> Backlog {
    let settings = [("shared_buffers", "512MB"), ("max_wal_size", "16GB"), ("autovacuum", "off")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = DatabaseOptions { settings, ..DatabaseOptions::default() };
    let database = Database::start(options).await.unwrap();
    let campaign = database.create_campaign("campaign").await.unwrap();
    let admin = database.session("campaign").await.unwrap();
    let fill = format!(
        "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, scity, sphone,
             saddress1, szipcode, scountrycode, slanguage, sorigin, tscreated, tslastmodified, tsbirth)
         select i, 'recipient' || i || '@example.com', 'First' || i, 'Last' || i, 'City', '+33 1 23 45',
             i || ', rue de la Paix', '75002', 'FR', 'fr', 'web', now(), now(), '1980-01-01'
         from generate_series(1, {rows}) as i;
         alter table nmsrecipient replica identity using index nmsrecipient_id;
         create publication truce for table nmsrecipient;"
    );
    admin.batch_execute(&fill).await.unwrap();
    slot::create(&admin, "backlog").await.unwrap();
    let update = format!(
        "do $$ begin for i in 0 .. {} loop
             update nmsrecipient set stext1 = 'changed ' || irecipientid
             where irecipientid > i * {per_commit} and irecipientid <= (i + 1) * {per_commit};
             commit;
         end loop; end $$",
        rows.div_ceil(per_commit) - 1
    );
    admin.batch_execute(&update).await.unwrap();
    let end = slot::current_position(&admin).await.unwrap();
    // Something to see after the end.
    admin
        .batch_execute("update nmsrecipient set stext1 = '' where irecipientid = 1")
        .await
        .unwrap();
    admin.batch_execute("checkpoint").await.unwrap();
    Backlog { database, campaign, admin, rows, end }
}

#[derive(Clone, Copy)]
enum Client {
    Truce,
    Recvlogical,
}

impl Backlog {
    async fn run(&self, client: Client) -> Run {
        let copy = "select pg_copy_logical_replication_slot('backlog', 'round')";
        self.admin.batch_execute(copy).await.unwrap();
        let mut command = self.command(client);
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut rss_mib, mut server_cpu, mut sender) = (0.0, 0.0, None);
        // What has ended keeps its times until it is waited for.
        while state(child.id()) != 'Z' {
            rss_mib = peak_rss_mib(child.id()).unwrap_or(rss_mib);
            if sender.is_none() {
                sender = slot::find(&self.admin, "round").await.unwrap().unwrap().active_pid;
            }
            let pid = sender.and_then(|pid| u32::try_from(pid).ok());
            server_cpu = pid.and_then(cpu_seconds).unwrap_or(server_cpu);
            tokio::time::sleep(WATCH).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let client_cpu = cpu_seconds(child.id()).unwrap();
        assert!(child.wait().unwrap().success());
        if matches!(client, Client::Truce) {
            let mut rows = String::new();
            std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut rows).unwrap();
            assert_eq!(rows.trim(), self.rows.to_string(), "every row arrives once");
        }
        while slot::find(&self.admin, "round").await.unwrap().unwrap().active_pid.is_some() {
            tokio::time::sleep(WATCH).await;
        }
        slot::drop(&self.admin, "round").await.unwrap();
        Run { seconds, client_cpu, server_cpu, rss_mib }
    }

    fn command(&self, client: Client) -> Command {
        let url = &self.campaign.truce;
        match client {
            Client::Truce => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--client", &url.to_string(), &self.end.to_string()]);
                command.env("TRUCE_BENCH_PASSWORD", self.database.password());
                command
            }
            Client::Recvlogical => {
                let mut command = Command::new(self.database.program("pg_recvlogical"));
                let host = format!("host=127.0.0.1 port={} user=truce", url.port());
                command.args(["--start", "--no-loop", "--slot=round", "--file=/dev/null"]);
                command.arg(format!("--dbname={host} dbname=campaign"));
                command.arg(format!("--endpos={}", self.end));
                command.args(["--option=proto_version=1", "--option=publication_names=truce"]);
                command.env("PGPASSWORD", self.database.password());
                command
            }
        }
    }
}

/// Our client: reads up to a position and says how many rows it saw.
async fn drain(arguments: &[String]) -> u64 {
    let [url, end] = arguments else { panic!("--client URL END") };
    let end: Lsn = end.parse().unwrap();
    let password = std::env::var("TRUCE_BENCH_PASSWORD").unwrap();
    let url = url.parse::<ServerUrl>().unwrap().with_password(password);
    let options = StartOptions::new("round", "truce", Lsn::default());
    let mut stream = Stream::start(&url, &options).await.unwrap();
    let (mut rows, mut bytes) = (0, 0);
    loop {
        stream.ready().await.unwrap();
        let mut committed = None;
        while let Some(frame) = stream.next_frame().unwrap() {
            let Frame::Change { message, .. } = frame else { continue };
            match message {
                Message::Insert(insert) => (rows, bytes) = (rows + 1, bytes + weight(&insert.new)),
                Message::Update(update) => {
                    let old = update.old.map_or(0, |old| weight(&old.tuple()));
                    (rows, bytes) = (rows + 1, bytes + old + weight(&update.new));
                }
                Message::Delete(delete) => {
                    (rows, bytes) = (rows + 1, bytes + weight(&delete.old.tuple()));
                }
                Message::Begin(begin) if end <= begin.final_lsn => {
                    assert!(0 < std::hint::black_box(bytes));
                    return rows;
                }
                Message::Commit(commit) => committed = Some(commit.end_lsn),
                Message::Begin(_)
                | Message::Emitted(_)
                | Message::Origin(_)
                | Message::Relation(_)
                | Message::Type(_)
                | Message::Truncate(_) => {}
            }
        }
        if let Some(committed) = committed {
            stream.confirm(committed);
        }
    }
}

/// Looks at every column.
fn weight(tuple: &Tuple<'_>) -> usize {
    tuple
        .datums()
        .map(|datum| match datum {
            Datum::Null | Datum::Unchanged => 0,
            Datum::Text(bytes) | Datum::Binary(bytes) => bytes.len(),
        })
        .sum()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The fields of `/proc/PID/stat` after the name, which is the only one that may hold a blank.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn state(pid: u32) -> char {
    stat(pid).and_then(|fields| fields[0].chars().next()).unwrap()
}

fn cpu_seconds(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    let ticks = |at: usize| fields[at].parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

fn peak_rss_mib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
