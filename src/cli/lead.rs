//! Leading: the lease of the ledger, the lock in Campaign's database, and the loops under both.
//!
//! CRM writes stop when the lease is not renewed; Campaign writes run on the very session that holds
//! the lock, so who loses the one loses the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};

use crate::agent::Plans;
use crate::agent::clock::AgentClock;
use crate::agent::epochs::{self, Answering, Epochs, Identity, Turn};
use crate::agent::run::{Account, Agent, CAMPAIGN_FEED, Health, told};
use crate::campaign::apply::CampaignWriter;
use crate::campaign::capture::CampaignFeed;
use crate::campaign::cursor::LogCursor;
use crate::campaign::identity::{DatabaseIdentity, LogState};
use crate::campaign::lead::Leader as Lock;
use crate::campaign::settings;
use crate::campaign::table::Tables;
use crate::config::{Config, Label};
use crate::crm::any::{Account as Organisation, DriftWatch, Feed, Peer};
use crate::ledger::{Catalog, Leader, LeaseError, Ledger as _, Life, PostgresLedger};
use crate::peer::PeerError;
use crate::postgres::{ServerUrl, Session, connect};
use crate::reconcile::Entity;
use crate::telemetry::metrics;

use super::accounts::{Accounts, Answers};
use super::attend::Attendant;
use super::changes;
use super::check::{SaidCautions, allow, standing};
use super::drift::Drifts;
use super::failure::Unusable;
use super::finding::{Findings, Level};
use super::fitted;
use super::lease::{check, renew};
use super::mapped::{self, Mapped, map_all};
use super::options;
use super::peers::{CampaignDoors, CrmDoors, tables};
use super::places::{Places, holder};
use super::reload::{self, Order, order};
use super::run::{Come, is_away, open_accounts};
use super::schemas::Schemas;
use super::setup::wanted;
use super::signals::Signals;
use super::visit::open_ledger;

type Agents = Agent<PostgresLedger, CampaignDoors, CampaignFeed, CrmDoors, Feed>;

/// What leads.
struct Ready {
    agents: Agents,
    accounts: Accounts,
    watches: Vec<(Label, DriftWatch)>,
}

/// The accounts, with their doors open.
type Opened = Vec<Account<CrmDoors, Feed>>;

/// How often a standby asks again, at the most.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// What would lead.
pub(super) struct Candidate {
    /// Where the config was read, and is read again at SIGHUP.
    pub(super) path: PathBuf,
    pub(super) config: Config,
    pub(super) places: Places,
    pub(super) accounts: BTreeMap<Label, Arc<Organisation>>,
    pub(super) health: Arc<Health>,
    /// The warnings that were told.
    pub(super) said: SaidCautions,
}

impl Candidate {
    /// By this config; reads the secrets that it names.
    pub(super) fn new(path: &Path, config: Config, health: Arc<Health>) -> Result<Self> {
        let (places, accounts) = (Places::of(&config)?, open_accounts(&config)?);
        let said = SaidCautions::default();
        Ok(Self { path: path.to_owned(), config, places, accounts, health, said })
    }

    /// Goes on by another config, where its secrets can be read; gives what it went by.
    pub(super) fn adopt(&mut self, config: Config) -> Result<Self> {
        let next = Self::new(&self.path, config, Arc::clone(&self.health))?;
        metrics::reloaded(true);
        Ok(std::mem::replace(self, next))
    }

    /// From standing by to being told to stop, or to an error.
    pub(super) async fn live(&mut self, signals: &mut Signals, come: &mut Come) -> Result<()> {
        let ledger = open_ledger(&self.places.ledger).await?;
        come.opened = true;
        let Some(mut lease) = self.claim(signals).await? else { return Ok(()) };
        let outcome = Box::pin(self.lead(ledger, &mut lease, signals, come)).await;
        if let Err(error) = lease.resign().await {
            tracing::debug!(error = told(&error), "the lease runs out by itself");
        }
        outcome
    }

    /// Leads by one config after another, as SIGHUP says, under one lease.
    async fn lead(
        &mut self,
        ledger: PostgresLedger,
        lease: &mut Leader,
        signals: &mut Signals,
        come: &mut Come,
    ) -> Result<()> {
        ledger.lead(lease.term());
        let ledger = Arc::new(ledger);
        let mut before: Option<Self> = None;
        loop {
            match Box::pin(self.prepare(&ledger, lease, signals)).await {
                Ok(None) => return Ok(()),
                Ok(Some(ready)) => {
                    come.led = true;
                    if before.take().is_some() {
                        tracing::info!("the config is taken up");
                    }
                    match Box::pin(self.work(ready, (&ledger, lease), signals)).await? {
                        Order::Stop => return Ok(()),
                        Order::Reload(config) => match self.adopt(*config) {
                            Ok(old) => before = Some(old),
                            Err(error) => reload::refused(&error),
                        },
                    }
                }
                Err(error) => match before.take() {
                    // A server that is away says nothing of the config.
                    Some(old) if lease.leads() && !is_away(&error) => {
                        reload::refused(&error);
                        *self = old;
                    }
                    Some(_) | None => return Err(error),
                },
            }
            ledger.lead(lease.advance().await?);
        }
    }

    /// Waits for the lease; `None` where we are told to stop first.
    async fn claim(&mut self, signals: &mut Signals) -> Result<Option<Leader>> {
        let lasts = self.config.ledger.lease_seconds.get();
        // A request of an earlier leader may be under way for this long.
        let calls = self.config.crms.values().map(|crm| crm.timeout_seconds.get());
        let grace = calls.max().unwrap_or_default().min(lasts);
        let mut lease = Leader::new(&self.places.ledger, &holder(), lasts, grace);
        let mut known = String::new();
        loop {
            match lease.claim().await {
                Ok(term) => {
                    tracing::info!(term, "this agent leads");
                    return Ok(Some(lease));
                }
                Err(LeaseError::Held { holder, remaining, .. }) => {
                    self.health.stands_by(&format!("`{holder}` leads"));
                    if known != holder {
                        tracing::info!(leader = holder, "standing by");
                        known = holder;
                    }
                    let delay = remaining.clamp(Duration::from_millis(100), ASK_EVERY);
                    tokio::select! {
                        order = order(signals, &self.path, &self.config) => match order {
                            Order::Stop => return Ok(None),
                            Order::Reload(config) => {
                                if let Err(error) = self.adopt(*config) {
                                    reload::refused(&error);
                                }
                            }
                        },
                        () = tokio::time::sleep(delay) => (),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes everything ready for the loops; `None` where we are told to stop first.
    async fn prepare(
        &self,
        ledger: &Arc<PostgresLedger>,
        lease: &mut Leader,
        signals: &mut Signals,
    ) -> Result<Option<Ready>> {
        let (term, every) = (lease.term(), self.renewed_every());
        tokio::select! {
            () = signals.stop() => Ok(None),
            ready = self.make_ready(ledger, term) => ready.map(Some),
            error = renew(lease, every) => Err(error.into()),
        }
    }

    fn renewed_every(&self) -> Duration {
        self.config.ledger.lease_seconds.get() / 4
    }

    /// Runs the loops until we are told to stop or to go on by another config.
    async fn work(
        &self,
        ready: Ready,
        (ledger, lease): (&Arc<PostgresLedger>, &mut Leader),
        signals: &mut Signals,
    ) -> Result<Order> {
        let every = self.renewed_every();
        let Ready { agents: ready, accounts: known, watches } = ready;
        let drifts =
            Drifts { watches, ledger: Arc::clone(ledger), plans: Arc::clone(&ready.plans) };
        let campaign = Arc::clone(&ready.campaign);
        let attendant = Attendant {
            url: self.places.campaign.clone(),
            ledger_url: self.places.ledger.clone(),
            wanted: wanted(&self.config),
            tables: campaign.tables.clone(),
            statement_timeout: self.config.campaign.statement_timeout_seconds.get(),
            retained_max: options::retained_max(&self.config.campaign),
            plans: Arc::clone(&ready.plans),
            clock: Arc::clone(&ready.clock),
            ledger: Arc::clone(ledger),
            accounts: self.accounts.clone(),
            ledger_max: u64::from(self.config.ledger.disk_megabytes_max.get()) << 20,
            linger_max: (self.config.crms.iter())
                .map(|(name, crm)| (name.clone(), crm.linger_max()))
                .collect(),
            keep: SignedDuration::from_hours(
                24 * i64::from(self.config.ledger.decision_keep_days.get()),
            ),
        };
        let lost = async {
            tokio::select! {
                error = renew(lease, every) => error,
                error = check(&campaign) => error,
                error = known.contradicted(&self.config) => error,
                never = attendant.attend() => match never {},
                never = drifts.watch() => match never {},
            }
        };
        let mut ordered = Order::Stop;
        let stop = async { ordered = order(signals, &self.path, &self.config).await };
        Box::pin(ready.run(stop, lost)).await?;
        Ok(ordered)
    }

    async fn make_ready(&self, ledger: &Arc<PostgresLedger>, term: u64) -> Result<Ready> {
        let schema = self.config.campaign.schema.as_str();
        let url = &self.places.campaign;
        let session = connect(url, &settings(schema)).await.context("campaign.url")?;
        let (mut accounts, objects) = Accounts::meet(&self.config, &self.accounts, ledger).await?;
        let catalog = ledger.catalog(&mapped::names(&self.config)).await?;
        let mut schemas = match Schemas::read(&self.config, &session, objects).await {
            Ok(schemas) => schemas,
            Err(error) => {
                // What it takes to be let in is known better than what the server says of it.
                refuse(&standing(&self.config, &session, None).await?)?;
                return Err(error.into());
            }
        };
        let server = standing(&self.config, &session, Some(&schemas)).await?;
        let mapped = self.fit(ledger, &catalog, &mut schemas, &mut accounts).await?;
        allow(&self.config, ledger, &session, &server).await?;
        self.caution(&session, &schemas, server).await;
        let tables = tables(&mapped, &schemas).map_err(Unusable::new)?;
        let plan = |one: &Mapped| (one.plan.policy.entity, one.plan.clone());
        let plans: Plans = mapped.iter().map(plan).collect();
        let epochs = self.epochs(ledger, &session, &plans, &accounts).await?;
        session.close().await;
        let writer = self.writer(&tables).await?;
        let campaign = Arc::new(CampaignDoors {
            url: url.clone(),
            schema: schema.into(),
            tables: tables.clone(),
            scan: options::scan(&self.config.campaign),
            writer,
        });
        let (crms, watches) = self.crm_accounts(&mapped, &schemas, &accounts)?;
        let agents = Agent {
            ledger: Arc::clone(ledger),
            clock: Arc::new(AgentClock::new(term, epochs)),
            health: Arc::clone(&self.health),
            plans: Arc::new(plans),
            campaign,
            campaign_feed: CampaignFeed::new(
                options::feed(&self.config.campaign, url.clone()),
                tables,
            ),
            accounts: crms,
            round: self.config.ledger.claim_links.size(),
            drain: self.config.agent.drain_seconds.get(),
        };
        Ok(Ready { agents, accounts, watches })
    }

    /// The mappings, made ready. One that does not fit what is there now goes by what it fitted last:
    /// what can be kept in step of it is, the log is followed, and what cannot is said.
    async fn fit(
        &self,
        ledger: &PostgresLedger,
        catalog: &Catalog,
        schemas: &mut Schemas,
        accounts: &mut Accounts,
    ) -> Result<Vec<Mapped>> {
        let config = &self.config;
        let mut findings = Findings::default();
        let mapped = map_all(config, catalog, schemas, &mut findings);
        if findings.problems() == 0 {
            accounts.settle(ledger).await?;
            fitted::keep(ledger, &schemas.tables).await?;
            fitted::compare_again(ledger, &mapped, now()).await?;
            changes::make_good(ledger, config, &mapped, now()).await?;
            return Ok(mapped);
        }
        let fits = |name: &&Label| mapped.iter().any(|one| one.name == **name);
        let names = config.in_order().map(|(name, _)| name);
        let misfits: Vec<&Label> = names.filter(|name| !fits(name)).collect();
        if ledger.cursor(CAMPAIGN_FEED).await?.is_start() {
            refuse(&findings)?;
        }
        fitted::fall_back(ledger, &misfits, &mut schemas.tables).await?;
        fitted::remember(ledger, &misfits, now()).await?;
        accounts.fall_back(config, &misfits, &mut schemas.objects);
        let mut left = Findings::default();
        let mapped = map_all(config, catalog, schemas, &mut left);
        if 0 < left.problems() {
            // It never fitted: that is for the person who wrote it.
            refuse(&findings)?;
        }
        for finding in findings.0.iter().filter(|finding| finding.level == Level::Problem) {
            let what = finding.to_string();
            tracing::error!(what, "a mapping no longer fits: it goes by what it fitted last");
        }
        changes::make_good(ledger, config, &mapped, now()).await?;
        Ok(mapped)
    }

    /// The epochs, after who answers was compared with who did.
    async fn epochs(
        &self,
        ledger: &PostgresLedger,
        session: &Session,
        plans: &Plans,
        accounts: &Accounts,
    ) -> Result<Epochs> {
        let campaign = &self.config.campaign;
        let database = DatabaseIdentity::read(session, campaign.schema.as_str()).await?;
        let cursor = LogCursor::read(&ledger.cursor(CAMPAIGN_FEED).await?).ok().flatten();
        let (mut gap, mut behind, mut rewound) = (None, None, None);
        if let Some(cursor) = cursor {
            let log = LogState::read(session, campaign.slot.as_str()).await?;
            match log.lost(cursor.end, cursor.database.timeline, &database) {
                Err(PeerError::NewEpoch { what, was, is }) => {
                    rewound = Some((what.to_owned(), was, is));
                }
                lost => gap = lost.err().map(|error| told(&error)),
            }
            // A position is confirmed only after the ledger is durable: it has forgotten that.
            behind = log.confirmed.filter(|confirmed| cursor.end < *confirmed).map(|confirmed| {
                format!("the slot was confirmed to {confirmed}, and it remembers {}", cursor.end)
            });
        }
        let life = Life::new(&self.places.ledger).check(behind.as_deref()).await?;
        let organisation = |(name, answers): (&Label, &Answers)| {
            let id = ("the organisation's id".to_owned(), answers.organisation.clone());
            (name.as_str().into(), Identity::from([id]))
        };
        let answering = Answering {
            campaign: identity(&database),
            rewound,
            crms: accounts.known.iter().map(organisation).collect(),
            ledger: (life.epoch, life.because),
            gap,
        };
        let (epochs, turns) = epochs::compare(ledger, &answering, plans, now()).await?;
        turns.iter().for_each(say);
        Ok(epochs)
    }

    /// The writer, on the session that holds the lock.
    async fn writer(&self, tables: &Tables) -> Result<CampaignWriter> {
        let campaign = &self.config.campaign;
        let timeout = campaign.statement_timeout_seconds.get();
        let (schema, slot) = (campaign.schema.as_str(), campaign.slot.as_str());
        let lock = loop {
            let url = &self.places.campaign;
            match Lock::try_lead(url, schema, slot, timeout).await? {
                Some(lock) => break lock,
                // Its leader has lost the lease; its session ends when the server has noticed.
                None => tokio::time::sleep(ASK_EVERY).await,
            }
        };
        let mut functions = BTreeMap::new();
        for (entity, table) in tables {
            let known =
                self.config.mappings.iter().find(|(name, _)| *name.as_str() == *table.mapping.name);
            if let Some(function) = known.and_then(|(_, mapping)| mapping.id_function.as_ref()) {
                functions.insert(*entity, function.to_string());
            }
        }
        let options = options::write(campaign);
        Ok(CampaignWriter::new(lock, tables.clone(), &functions, options).await?)
    }

    fn crm_accounts(
        &self,
        mapped: &[Mapped],
        schemas: &Schemas,
        known: &Accounts,
    ) -> Result<(Opened, Vec<(Label, DriftWatch)>)> {
        let (mut accounts, mut watches) = (Vec::new(), Vec::new());
        for (name, answers) in &known.known {
            let of_account =
                mapped.iter().filter(|one| self.config.mappings[&one.name].crm == *name);
            let described = of_account.filter_map(|one| {
                let object = schemas.objects.get(&one.name)?.as_ref().ok()?;
                Some((one.sides.crm.clone(), object))
            });
            let account = &self.accounts[name];
            let peer = Peer::with(account, &answers.organisation, described.collect())
                .with_context(|| format!("crm.{name}"))?;
            let feeds: Vec<(Entity, Feed)> =
                peer.feeds().into_iter().map(|feed| (feed.entity(), feed)).collect();
            watches.push((name.clone(), peer.drift()));
            let crm = &self.config.crms[name];
            accounts.push(Account {
                name: name.as_str().into(),
                doors: Arc::new(CrmDoors::new(peer)),
                feeds,
                fresh_within: 3 * crm.poll_idle_seconds.get() + crm.timeout_seconds.get(),
            });
        }
        Ok((accounts, watches))
    }
}

/// Where something stands against running, all of it, in one error.
pub(super) fn refuse(findings: &Findings) -> Result<()> {
    let problems = findings.0.iter().filter(|finding| finding.level == Level::Problem);
    let problems: Vec<String> = problems.map(ToString::to_string).collect();
    if problems.is_empty() {
        return Ok(());
    }
    anyhow::bail!("it cannot run as things are; `truce check` tells more\n{}", problems.join("\n"))
}

fn identity(database: &DatabaseIdentity) -> Identity {
    let id = database.campaign_id.clone().unwrap_or_else(|| "none".to_owned());
    Identity::from([
        ("the system identifier".to_owned(), database.system_identifier.clone()),
        ("the timeline".to_owned(), database.timeline.to_string()),
        ("the database's oid".to_owned(), database.database_oid.to_string()),
        ("Campaign's XtkDatabaseId".to_owned(), id),
    ])
}

fn say(turn: &Turn) {
    match turn {
        Turn::NewEpoch { side, what, was, is } => tracing::error!(
            side,
            what,
            was,
            is,
            "another system answers than before: creates and deletes wait for \
             `truce held release --epoch`, everything is compared"
        ),
        Turn::Restored(why) => tracing::error!(
            why,
            "the ledger is an older one: creates and deletes wait for \
             `truce held release --epoch`, everything is compared"
        ),
        Turn::Gap(why) => tracing::error!(why, "there is a gap: everything is compared"),
    }
}

/// Our clock.
#[expect(clippy::disallowed_methods, reason = "a command reads the clock once, at its edge")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// The place of a database for messages, without a password.
pub(super) fn shown(url: &ServerUrl) -> String {
    format!("{} on {}", url.database(), url.host())
}
