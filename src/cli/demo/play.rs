//! Who does what, and when: a few scenes that the report tells of, and everyday edits between them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::view::View;
use crate::cli::lead::now;
use crate::simulator::people::{
    Agent, Cast, Diary, Draw, EDITED, Office, Stage, Where, address, firm, person,
};

/// The play: who is on stage, and what they have done.
pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) cast: Cast,
    pub(super) diary: Diary,
    pub(super) scenes: Vec<Scene>,
    /// How many edits there were in Campaign, then in each CRM.
    pub(super) edits: Vec<usize>,
    draw: Draw,
}

/// A scene, as the report tells of it.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) what: What,
    /// In which CRM, where it is in one.
    pub(super) office: usize,
    pub(super) who: String,
    pub(super) at: Timestamp,
}

/// What happened in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Both sides set the title at once; Campaign wins by the config.
    TitleConflict,
    /// Both sides set the mobile number at once; the CRM wins by the config.
    MobileConflict,
    /// An opt-out in Campaign.
    OptOutInCampaign,
    /// An opt-out in a CRM.
    OptOutInCrm,
    /// The same person opts in again, in Campaign.
    OptIn,
    /// A recipient is made.
    CreateInCampaign,
    /// A contact is made.
    CreateInCrm,
    /// A contact is deleted; the config says that a deletion goes over.
    DeleteInCrm,
    /// A recipient is deleted, likewise.
    DeleteInCampaign,
    /// An account is deleted; the config says that a person decides.
    DeleteAccount,
    /// A value that the CRM refuses.
    Refused,
}

/// A handful of edits a second is a busy office, and leaves a demo's machine something to do.
const PAUSE: Duration = Duration::from_millis(60);
/// Not one of the values of the CRM's field.
pub(super) const UNKNOWN_SOURCE: &str = "trade fair";

/// What is played with so many CRMs, each scene with the CRM that it is in. The n-th of the cast is in
/// the n-th scene, and nobody else edits them.
fn program(stage: &Stage) -> Vec<(What, usize)> {
    let says = |field| stage.roster.says(field);
    let mut program = vec![
        (What::OptOutInCampaign, 0),
        (What::TitleConflict, says("Title")),
        (What::CreateInCampaign, 0),
        (What::OptOutInCrm, 0),
        (What::Refused, 0),
        (What::MobileConflict, says("MobilePhone")),
        (What::CreateInCrm, 0),
        (What::DeleteInCrm, 0),
    ];
    program.extend((1..stage.offices.len()).map(|further| (What::OptOutInCrm, further)));
    program.extend([(What::DeleteInCampaign, 0), (What::OptIn, 0), (What::DeleteAccount, 0)]);
    program
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage, cast: Cast, draw: Draw) -> Self {
        let edits = vec![0; 1 + stage.offices.len()];
        Self { stage, cast, diary: Diary::default(), scenes: Vec::new(), edits, draw }
    }

    /// Performs all scenes, evenly over this time, with everyday edits between them.
    pub(super) async fn perform(
        &mut self,
        agent: &mut Agent,
        view: &View,
        lasts: Duration,
    ) -> Result<()> {
        let begun = Instant::now();
        let program = program(self.stage);
        let share = lasts / (u32::try_from(program.len())? + 1);
        let mut next = program.iter().zip(1_u32..).enumerate().peekable();
        while begun.elapsed() < lasts {
            agent.must_live()?;
            if let Some((star, (scene, _))) =
                next.next_if(|(_, (_, at))| share * *at <= begun.elapsed())
            {
                self.scene(*scene, star, view).await?;
            }
            self.everyday(program.len()).await?;
            let edits = format!("{} edits", self.diary.0.len());
            view.show(&edits, self.stage, agent).await;
            sleep(PAUSE).await;
        }
        for (star, (scene, _)) in next {
            self.scene(*scene, star, view).await?;
        }
        Ok(())
    }

    /// One edit by somebody, on any side, of what that side has the say on; not of the stars.
    async fn everyday(&mut self, stars: usize) -> Result<()> {
        let number = self.cast.both[stars + self.draw.below(self.cast.both.len() - stars)].0;
        let side = self.draw.below(self.edits.len());
        let said =
            |field: &str| side.checked_sub(1).is_none_or(|at| self.stage.roster.says(field) == at);
        let fields: Vec<_> = EDITED.into_iter().filter(|(_, field)| said(field)).collect();
        let (column, field) = self.draw.one_of(&fields);
        let value = format!("edit {}", 1 + self.diary.0.len());
        match side.checked_sub(1) {
            None => self.in_campaign(number, (column, field), &value).await,
            Some(at) => self.in_crm(at, number, (field, &value)).await,
        }
    }

    async fn in_campaign(
        &mut self,
        number: usize,
        (column, field): (&str, &str),
        value: &str,
    ) -> Result<()> {
        let who = address(number);
        let rows = self.stage.desk.edit(&who, column, value).await?;
        ensure!(rows == 1, "{who} is there {rows} times");
        self.diary.note(Where::Campaign, &who, field, value);
        self.edits[0] += 1;
        Ok(())
    }

    async fn in_crm(
        &mut self,
        at: usize,
        number: usize,
        (field, value): (&str, &str),
    ) -> Result<()> {
        let id = self.contact(at, number)?;
        self.office(at).screen.edit("Contact", id, (field, &json!(value))).await?;
        self.diary.note(Where::Crm, &address(number), field, value);
        self.edits[1 + at] += 1;
        Ok(())
    }

    fn office(&self, at: usize) -> &'a Office {
        &self.stage.offices[at]
    }

    fn contact(&self, at: usize, number: usize) -> Result<&str> {
        let id = self.cast.contact(at, number);
        id.with_context(|| format!("{} has no {}", self.office(at).kind.name(), address(number)))
    }

    async fn scene(
        &mut self,
        (what, office): (What, usize),
        star: usize,
        view: &View,
    ) -> Result<()> {
        let at = now();
        // Who opts in is the one who opted out.
        let star = if what == What::OptIn { 0 } else { star };
        let number = self.cast.both[star].0;
        let who = self.act((what, office), number).await.with_context(|| format!("{what:?}"))?;
        view.say(&format!("{}: {who}", what.told(self.office(office).kind.name())));
        self.scenes.push(Scene { what, office, who, at });
        Ok(())
    }

    /// Does what happens in a scene; to whom.
    async fn act(&mut self, (what, at): (What, usize), number: usize) -> Result<String> {
        let who = address(number);
        let (desk, screen) = (&self.stage.desk, &self.office(at).screen);
        match what {
            What::TitleConflict => {
                self.in_crm(at, number, ("Title", "Head of Sales")).await?;
                self.in_campaign(number, ("stext1", "Title"), "Head of Marketing").await?;
            }
            What::MobileConflict => {
                self.in_crm(at, number, ("MobilePhone", "+33 6 11111111")).await?;
                let column = ("smobilephone", "MobilePhone");
                self.in_campaign(number, column, "+33 6 22222222").await?;
            }
            What::OptOutInCampaign => drop(desk.flag(&who, "iblacklist", 1).await?),
            What::OptIn => drop(desk.flag(&who, "iblacklist", 0).await?),
            What::OptOutInCrm => {
                let out = ("HasOptedOutOfEmail", &json!(true));
                screen.edit("Contact", self.contact(at, number)?, out).await?;
            }
            What::CreateInCampaign => return self.new_recipient().await,
            What::CreateInCrm => return self.new_contact(at).await,
            What::DeleteInCrm => screen.delete("Contact", self.contact(at, number)?).await?,
            What::DeleteInCampaign => {
                let rows = desk.run("delete from nmsrecipient where semail = $1", &[&who]).await?;
                ensure!(rows == 1, "{who} is there {rows} times");
            }
            What::DeleteAccount => return self.delete_account(at).await,
            What::Refused => drop(desk.edit(&who, "sorigin", UNKNOWN_SOURCE).await?),
        }
        Ok(who)
    }

    async fn new_recipient(&self) -> Result<String> {
        let who = "new.recipient@example.com".to_owned();
        let insert = "insert into nmsrecipient (irecipientid, ifolderid, semail, sfirstname, \
                      slastname, tscreated, tslastmodified) \
                      values (nextval('nmsrecipientid'), 1182, $1, 'Nora', 'Novak', now(), now())";
        self.stage.desk.run(insert, &[&who]).await?;
        Ok(who)
    }

    async fn new_contact(&self, at: usize) -> Result<String> {
        let who = "new.contact@example.com".to_owned();
        let (_, account) = &self.cast.accounts[1];
        let record = json!({
            "Email": who, "FirstName": "Carl", "LastName": "Contact", "AccountId": account,
        });
        self.office(at).screen.create("Contact", record).await?;
        Ok(who)
    }

    /// An account that nobody is with, made on purpose before the play.
    async fn delete_account(&self, at: usize) -> Result<String> {
        let (number, id) = &self.cast.accounts[0];
        self.office(at).screen.delete("Account", id).await?;
        Ok(firm(*number))
    }

    /// Those who differ at the end because a person has to decide: we made them so.
    pub(super) fn held_by_intent(&self) -> Vec<String> {
        let held = |scene: &&Scene| matches!(scene.what, What::Refused | What::DeleteAccount);
        self.scenes.iter().filter(held).map(|scene| scene.who.clone()).collect()
    }

    /// How somebody is called in the report.
    pub(super) fn name(&self, who: &str) -> String {
        self.number(who).map_or_else(
            || who.to_owned(),
            |number| {
                let (first, last) = person(number);
                format!("{first} {last}")
            },
        )
    }

    /// When the agent wrote this of somebody's consent to a CRM, oldest first.
    pub(super) async fn opted(&self, at: usize, who: &str, out: bool) -> Result<Vec<Timestamp>> {
        let Some(id) = self.number(who).and_then(|number| self.cast.contact(at, number)) else {
            return Ok(Vec::new());
        };
        let set = ("HasOptedOutOfEmail", &json!(out));
        Ok(self.office(at).screen.set_by_programs("Contact", id, set).await?)
    }

    fn number(&self, who: &str) -> Option<usize> {
        let both = self.cast.both.iter().map(|(number, _)| *number);
        both.into_iter().find(|number| address(*number) == who)
    }
}

impl What {
    fn told(self, crm: &str) -> String {
        match self {
            Self::TitleConflict => format!("two people give a title, in Campaign and in {crm}"),
            Self::MobileConflict => {
                format!("two people give a mobile number, in Campaign and in {crm}")
            }
            Self::OptOutInCampaign => "an unsubscribe link in Campaign is clicked".to_owned(),
            Self::OptOutInCrm => format!("a call centre notes an opt-out in {crm}"),
            Self::OptIn => "somebody subscribes again, in Campaign".to_owned(),
            Self::CreateInCampaign => "a form in Campaign makes a recipient".to_owned(),
            Self::CreateInCrm => format!("a salesperson makes a contact in {crm}"),
            Self::DeleteInCrm => format!("a salesperson deletes a contact in {crm}"),
            Self::DeleteInCampaign => "a clean-up in Campaign deletes a recipient".to_owned(),
            Self::DeleteAccount => format!("a salesperson deletes an account in {crm}"),
            Self::Refused => "a workflow in Campaign sets a source that no CRM knows".to_owned(),
        }
    }
}
