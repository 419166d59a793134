//! Everything that the agent meets, on this machine: a Campaign database, one CRM or several, people
//! in all of them, and the config file that tells of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::agent::{command, failed, free_port};
use super::office::{Ids, Office, Roster};
use super::paper::{Mappings, config, path, secrets};
use super::{Agent, Desk, Draw, PeopleError, Screen};
use crate::simulator::database::{Database, DatabaseOptions};
use crate::simulator::database_campaign::CampaignDatabase;

/// How a stage is set.
#[derive(Clone, Debug, Default)]
pub struct StageOptions {
    /// Where; a temporary directory that goes with the stage when nothing is said.
    pub directory: Option<PathBuf>,
    /// Which CRMs there are.
    pub roster: Roster,
    /// What the config says.
    pub mappings: Mappings,
    /// Settings of the server.
    pub settings: Vec<(String, String)>,
}

/// All sides, with nobody between them yet.
#[derive(Debug)]
pub struct Stage {
    /// Campaign's server.
    pub database: Database,
    /// Campaign's database on it.
    pub campaign: CampaignDatabase,
    /// The CRMs.
    pub offices: Vec<Office>,
    /// Who works in the first of them.
    pub screen: Screen,
    /// Who of them has the say on what.
    pub roster: Roster,
    /// Who works in Campaign.
    pub desk: Desk,
    truce: PathBuf,
    directory: PathBuf,
    port: u16,
    /// Last, so that all that is in it is gone before.
    _temporary: Option<TempDir>,
}

/// Who is there before the agent comes.
#[derive(Clone, Debug)]
pub struct Cast {
    /// People on both sides, by number; ids of their contacts in the CRM.
    pub both: Vec<(usize, String)>,
    /// People in Campaign only.
    pub campaign: Vec<usize>,
    /// People in the CRM only, with the ids of their contacts.
    pub crm: Vec<(usize, String)>,
    /// Accounts, by number, with their ids in the CRM.
    pub accounts: Vec<(usize, String)>,
    /// In each further CRM the contacts of all of them but those in Campaign only.
    pub further: Vec<Ids>,
}

impl Cast {
    /// The contact of a person of `both` in one of the CRMs.
    pub fn contact(&self, office: usize, number: usize) -> Option<&str> {
        let id = match office.checked_sub(1) {
            None => self.both.iter().find(|(one, _)| *one == number).map(|(_, id)| id),
            Some(further) => self.further.get(further)?.get(&number),
        };
        id.map(String::as_str)
    }
}

/// A contact's own e-mail address.
pub fn address(number: usize) -> String {
    format!("person{number:06}@example.com")
}

const FIRST: [&str; 12] = [
    "Ada", "Bruno", "Chloé", "Dmitri", "Esther", "Farid", "Greta", "Hugo", "Inès", "Jonas", "Kaia",
    "Luca",
];
const LAST: [&str; 10] = [
    "Almeida",
    "Bergström",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Haddad",
    "Ivanova",
    "Jansen",
];
const CITY: [&str; 8] =
    ["Aachen", "Brest", "Coimbra", "Dijon", "Esbjerg", "Faro", "Gent", "Helsinki"];

/// What a person is called.
pub fn person(number: usize) -> (String, String) {
    let first = FIRST[number % FIRST.len()];
    (first.to_owned(), format!("{} {number}", LAST[number / FIRST.len() % LAST.len()]))
}

/// What an account is called.
pub fn firm(number: usize) -> String {
    format!("{} & Sons {number}", LAST[number % LAST.len()])
}

fn phone(number: usize) -> String {
    format!("+33 1 {number:08}")
}

impl Stage {
    /// Sets it; `truce` is the program.
    pub async fn set(truce: &Path, options: StageOptions) -> Result<Self, PeopleError> {
        let temporary = match &options.directory {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("truce-stage-")
                    .tempdir()
                    .map_err(failed("making a directory in", Path::new("/tmp")))?,
            ),
        };
        let directory = match (&temporary, options.directory) {
            (Some(temporary), _) => temporary.path().to_owned(),
            (None, Some(given)) => given,
            (None, None) => unreachable!("one of the two is there"),
        };
        fs::create_dir_all(&directory).map_err(failed("making", &directory))?;
        // The server's own directory is kept only with the stage. Elsewhere it makes one in /tmp.
        let kept = temporary.is_none().then(|| directory.join("postgres"));
        let database = Database::start(DatabaseOptions {
            directory: kept,
            settings: options.settings,
            ..DatabaseOptions::default()
        })
        .await?;
        let campaign = database.create_campaign("campaign").await?;
        database.grant_setup(&campaign).await?;
        let roster = options.roster;
        let opened = roster.kinds().iter().map(|kind| Office::open(*kind));
        let offices = futures_util::future::try_join_all(opened).await?;
        let port = free_port(&directory)?;
        let text = config(&campaign, (&offices, &roster), port, &options.mappings);
        let config = path(&directory);
        fs::write(&config, text).map_err(failed("writing", &config))?;
        for (name, secret) in secrets(database.password(), &offices) {
            let file = directory.join(name);
            fs::write(&file, secret).map_err(failed("writing", &file))?;
            let closed = Permissions::from_mode(0o600);
            fs::set_permissions(&file, closed).map_err(failed("closing", &file))?;
        }
        let (screen, desk) = (offices[0].screen.clone(), Desk::open(&campaign.owner).await?);
        let truce = truce.to_owned();
        Ok(Self {
            database,
            campaign,
            offices,
            screen,
            roster,
            desk,
            truce,
            directory,
            port,
            _temporary: temporary,
        })
    }

    /// Where the config, the log and what the config refers to are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The config file.
    pub fn config(&self) -> PathBuf {
        path(&self.directory)
    }

    /// Runs a command of ours on the stage's config, such as `["setup", "--undo", "--yes"]`.
    pub async fn truce(&self, arguments: &[&str]) -> Result<String, PeopleError> {
        command(&self.truce, arguments, &self.config()).await
    }

    /// Starts the agent.
    pub fn agent(&self) -> Result<Agent, PeopleError> {
        Agent::start(&self.truce, &self.config(), &self.directory.join("agent.log"), self.port)
    }

    /// Ends the simulators in order.
    pub async fn close(self) {
        for office in self.offices {
            office.running.stop().await;
        }
    }

    /// Fills Campaign and the first CRM with so many records each. A quarter of each side is on that
    /// side only; of the others some lack something on one side. Nine of ten have an account. A further
    /// CRM knows the people of the first, and no accounts yet.
    pub async fn fill(&self, records: usize, draw: &mut Draw) -> Result<Cast, PeopleError> {
        let accounts = self.found_accounts((records / 10).max(2), draw).await?;
        let only = records / 4;
        let both: Vec<usize> = (0..records - only).collect();
        let campaign: Vec<usize> = (records - only..records).collect();
        let crm: Vec<usize> = (records..records + only).collect();
        self.recipients(&both, &campaign, accounts.len()).await?;
        let there = || both.iter().chain(&crm).copied();
        let contacts = there().map(|number| self.contact(0, number, &accounts)).collect();
        let mut ids = self.screen.seed("Contact", contacts).await?;
        let later = ids.split_off(both.len());
        let mut further = Vec::new();
        for (at, office) in self.offices.iter().enumerate().skip(1) {
            let contacts = there().map(|number| self.contact(at, number, &[])).collect();
            let ids = office.screen.seed("Contact", contacts).await?;
            further.push(there().zip(ids).collect());
        }
        Ok(Cast {
            further,
            both: both.into_iter().zip(ids).collect(),
            campaign,
            crm: crm.into_iter().zip(later).collect(),
            accounts,
        })
    }

    /// Accounts on both sides, but one that is in the CRM only.
    async fn found_accounts(
        &self,
        count: usize,
        draw: &mut Draw,
    ) -> Result<Vec<(usize, String)>, PeopleError> {
        let city = |draw: &mut Draw| draw.one_of(&CITY).to_owned();
        let cities: Vec<String> = (0..count).map(|_| city(draw)).collect();
        let record = |number: usize| {
            json!({
                "Name": firm(number), "BillingCity": cities[number],
                "SystemModstamp": "2026-01-01T00:00:00Z",
            })
        };
        let ids = self.screen.seed("Account", (0..count).map(record).collect()).await?;
        for (number, city) in cities.iter().enumerate().skip(1) {
            let insert = "insert into cusaccount (icusaccountid, sname, scity, tscreated, \
                          tslastmodified) values (getnewid(), $1, $2, now(), now())";
            self.desk.run(insert, &[&firm(number), city]).await?;
        }
        Ok((0..count).zip(ids).collect())
    }

    async fn recipients(
        &self,
        both: &[usize],
        only: &[usize],
        accounts: usize,
    ) -> Result<(), PeopleError> {
        let everybody: Vec<usize> = both.iter().chain(only).copied().collect();
        let column = |of: &dyn Fn(usize) -> String| -> Vec<String> {
            everybody.iter().map(|number| of(*number)).collect()
        };
        let insert = "insert into nmsrecipient (irecipientid, ifolderid, semail, sfirstname, \
             slastname, sphone, scity, iaccountid, tscreated, tslastmodified) \
             select nextval('nmsrecipientid'), 1182, p.email, p.first, p.last, \
                    nullif(p.phone, ''), nullif(p.city, ''), coalesce(a.icusaccountid, 0), now(), now() \
               from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) \
                    as p (email, first, last, phone, city, firm) \
               left join cusaccount a on a.sname = p.firm and a.icusaccountid <> 0";
        let city = |number: usize| if is_one_sided(number) { "" } else { town(number) }.to_owned();
        self.desk
            .run(
                insert,
                &[
                    &column(&address),
                    &column(&|number| person(number).0),
                    &column(&|number| person(number).1),
                    &column(&phone),
                    &column(&city),
                    &column(&|number| account(number, accounts).map(firm).unwrap_or_default()),
                ],
            )
            .await
            .map(drop)
    }

    /// A contact as a CRM has had it for long, of what it has the say on. Some lack a phone, which
    /// Campaign knows.
    fn contact(&self, office: usize, number: usize, accounts: &[(usize, String)]) -> Value {
        let (first, last) = person(number);
        let mut contact = json!({
            "FirstName": first, "LastName": last, "Email": address(number),
            "SystemModstamp": "2026-01-01T00:00:00Z",
        });
        if self.roster.says("MailingCity") == office {
            contact["MailingCity"] = json!(town(number));
        }
        if !number.is_multiple_of(3) && self.roster.says("Phone") == office {
            contact["Phone"] = json!(phone(number));
        }
        if let Some(account) = account(number, accounts.len()) {
            contact["AccountId"] = json!(accounts[account].1);
        }
        contact
    }
}

/// Whether Campaign lacks the city, which the CRM knows.
fn is_one_sided(number: usize) -> bool {
    number.is_multiple_of(5)
}

fn town(number: usize) -> &'static str {
    CITY[number % CITY.len()]
}

/// Never the first account: that one is made in Campaign by the agent, so nobody there has it yet.
fn account(number: usize, accounts: usize) -> Option<usize> {
    (1 < accounts && !number.is_multiple_of(10)).then(|| 1 + number % (accounts - 1))
}
