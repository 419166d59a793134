//! Who does what, and when: a few scenes that the report tells of, and everyday edits between them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::view::View;
use crate::cli::lead::now;
use crate::simulator::people::{
    Agent, Both, Cast, Diary, Difference, Draw, EDITED, Stage, Where, address, firm, person,
};

/// The play: who is on stage, and what they have done.
pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) cast: Cast,
    pub(super) diary: Diary,
    pub(super) scenes: Vec<Scene>,
    draw: Draw,
    edits: usize,
}

/// A scene, as the report tells of it.
pub(super) struct Scene {
    pub(super) what: What,
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
    /// An opt-out in the CRM.
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

const SCENES: [What; 11] = [
    What::OptOutInCampaign,
    What::TitleConflict,
    What::CreateInCampaign,
    What::OptOutInCrm,
    What::Refused,
    What::MobileConflict,
    What::CreateInCrm,
    What::DeleteInCrm,
    What::DeleteInCampaign,
    What::OptIn,
    What::DeleteAccount,
];
/// People with a number below are in scenes, and nobody else edits them.
const STARS: usize = 10;
/// A handful of edits a second is a busy office, and leaves a demo's machine something to do.
const PAUSE: Duration = Duration::from_millis(60);
/// Not one of the values of the CRM's field.
pub(super) const UNKNOWN_SOURCE: &str = "trade fair";

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage, cast: Cast, draw: Draw) -> Self {
        Self { stage, cast, diary: Diary::default(), scenes: Vec::new(), draw, edits: 0 }
    }

    /// Performs all scenes, evenly over this time, with everyday edits between them.
    pub(super) async fn perform(
        &mut self,
        agent: &mut Agent,
        view: &View,
        lasts: Duration,
    ) -> Result<()> {
        let begun = Instant::now();
        let mut next = SCENES.iter().zip(1_u32..).peekable();
        let share = lasts / (u32::try_from(SCENES.len())? + 1);
        while begun.elapsed() < lasts {
            agent.must_live()?;
            if let Some((what, _)) = next.next_if(|(_, at)| share * *at <= begun.elapsed()) {
                self.scene(*what, view).await.with_context(|| format!("{what:?}"))?;
            }
            self.everyday().await?;
            let edits = format!("{} edits", self.diary.0.len());
            view.show(&edits, agent).await;
            sleep(PAUSE).await;
        }
        for (what, _) in next {
            self.scene(*what, view).await?;
        }
        Ok(())
    }

    /// One edit by somebody, on either side.
    async fn everyday(&mut self) -> Result<()> {
        let (number, id) =
            self.cast.both[STARS + self.draw.below(self.cast.both.len() - STARS)].clone();
        let (column, field) = self.draw.one_of(&EDITED);
        self.edits += 1;
        let value = format!("edit {}", self.edits);
        if self.draw.below(2) == 0 {
            self.in_campaign(&address(number), column, field, &value).await
        } else {
            self.in_crm(&address(number), &id, field, &value).await
        }
    }

    async fn in_campaign(
        &mut self,
        who: &str,
        column: &str,
        field: &str,
        value: &str,
    ) -> Result<()> {
        let rows = self.stage.desk.edit(who, column, value).await?;
        ensure!(rows == 1, "{who} is there {rows} times");
        self.diary.note(Where::Campaign, who, field, value);
        Ok(())
    }

    async fn in_crm(&mut self, who: &str, id: &str, field: &str, value: &str) -> Result<()> {
        self.stage.screen.edit("Contact", id, (field, &json!(value))).await?;
        self.diary.note(Where::Crm, who, field, value);
        Ok(())
    }

    async fn scene(&mut self, what: What, view: &View) -> Result<()> {
        let at = now();
        let star = match what {
            What::TitleConflict => 0,
            What::MobileConflict => 1,
            What::OptOutInCampaign | What::OptIn => 2,
            What::OptOutInCrm => 3,
            What::DeleteInCrm => 4,
            What::Refused => 5,
            What::DeleteInCampaign => 7,
            What::CreateInCampaign | What::CreateInCrm | What::DeleteAccount => 6,
        };
        let (number, id) = self.cast.both[star].clone();
        let mut who = address(number);
        let (desk, screen) = (&self.stage.desk, &self.stage.screen);
        match what {
            What::TitleConflict => {
                self.in_crm(&who, &id, "Title", "Head of Sales").await?;
                self.in_campaign(&who, "stext1", "Title", "Head of Marketing").await?;
            }
            What::MobileConflict => {
                self.in_crm(&who, &id, "MobilePhone", "+33 6 11111111").await?;
                self.in_campaign(&who, "smobilephone", "MobilePhone", "+33 6 22222222").await?;
            }
            What::OptOutInCampaign => drop(desk.flag(&who, "iblacklist", 1).await?),
            What::OptIn => drop(desk.flag(&who, "iblacklist", 0).await?),
            What::OptOutInCrm => {
                screen.edit("Contact", &id, ("HasOptedOutOfEmail", &json!(true))).await?;
            }
            What::CreateInCampaign => who = self.new_recipient().await?,
            What::CreateInCrm => who = self.new_contact().await?,
            What::DeleteInCrm => screen.delete("Contact", &id).await?,
            What::DeleteInCampaign => {
                let rows = desk.run("delete from nmsrecipient where semail = $1", &[&who]).await?;
                ensure!(rows == 1, "{who} is there {rows} times");
            }
            What::DeleteAccount => who = self.delete_account().await?,
            What::Refused => drop(desk.edit(&who, "sorigin", UNKNOWN_SOURCE).await?),
        }
        view.say(&format!("{}: {who}", what.told()));
        self.scenes.push(Scene { what, who, at });
        Ok(())
    }

    async fn new_recipient(&self) -> Result<String> {
        let who = "new.recipient@example.com".to_owned();
        let insert = "insert into nmsrecipient (irecipientid, ifolderid, semail, sfirstname, \
                      slastname, tscreated, tslastmodified) \
                      values (nextval('nmsrecipientid'), 1182, $1, 'Nora', 'Novak', now(), now())";
        self.stage.desk.run(insert, &[&who]).await?;
        Ok(who)
    }

    async fn new_contact(&self) -> Result<String> {
        let who = "new.contact@example.com".to_owned();
        let (_, account) = &self.cast.accounts[1];
        let record = json!({
            "Email": who, "FirstName": "Carl", "LastName": "Contact", "AccountId": account,
        });
        self.stage.screen.create("Contact", record).await?;
        Ok(who)
    }

    /// An account that nobody is with, made on purpose before the play.
    async fn delete_account(&self) -> Result<String> {
        let (number, id) = &self.cast.accounts[0];
        self.stage.screen.delete("Account", id).await?;
        Ok(firm(*number))
    }

    /// Those who differ at the end because a person has to decide: we made them so.
    pub(super) fn held_by_intent(&self) -> Vec<String> {
        let held = |scene: &&Scene| matches!(scene.what, What::Refused | What::DeleteAccount);
        self.scenes.iter().filter(held).map(|scene| scene.who.clone()).collect()
    }

    /// How somebody is called in the report.
    pub(super) fn name(&self, who: &str) -> String {
        let star = self.cast.both.iter().find(|(number, _)| address(*number) == who);
        star.map_or_else(
            || who.to_owned(),
            |(number, _)| {
                let (first, last) = person(*number);
                format!("{first} {last}")
            },
        )
    }

    /// The changes of a contact by the agent, oldest first.
    pub(super) async fn written_to_crm(&self, who: &str) -> Result<Vec<Value>> {
        let id = self.cast.both.iter().find(|(number, _)| address(*number) == who);
        let Some((_, id)) = id else { return Ok(Vec::new()) };
        let answer = self.stage.screen.look(&format!("history?object=Contact&id={id}")).await?;
        let changes = answer["changes"].as_array().cloned().unwrap_or_default();
        Ok(changes.into_iter().filter(|change| change["via"] == "api").collect())
    }
}

impl What {
    fn told(self) -> &'static str {
        match self {
            Self::TitleConflict => "two people give a title, one on each side",
            Self::MobileConflict => "two people give a mobile number, one on each side",
            Self::OptOutInCampaign => "an unsubscribe link in Campaign is clicked",
            Self::OptOutInCrm => "a call centre notes an opt-out in the CRM",
            Self::OptIn => "somebody subscribes again, in Campaign",
            Self::CreateInCampaign => "a form in Campaign makes a recipient",
            Self::CreateInCrm => "a salesperson makes a contact",
            Self::DeleteInCrm => "a salesperson deletes a contact",
            Self::DeleteInCampaign => "a clean-up in Campaign deletes a recipient",
            Self::DeleteAccount => "a salesperson deletes an account",
            Self::Refused => "a workflow in Campaign sets a value that the CRM does not know",
        }
    }
}

/// In what both sides differ although nobody has to decide it.
pub(super) fn unexpected(both: &Both, held: &[String]) -> Vec<Difference> {
    let mut all = both.differences();
    all.retain(|difference| {
        let is_value = difference.field == "LeadSource";
        let is_record = difference.field.is_empty() && !difference.who.contains('@');
        !(held.contains(&difference.who) && (is_value || is_record))
    });
    all
}
