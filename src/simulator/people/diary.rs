//! What the people did, in their own words: the input of whoever checks the outcome.

use jiff::Timestamp;

/// Where somebody works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// In Campaign.
    Campaign,
    /// In the CRM.
    Crm,
}

/// One thing that somebody did, and that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When, by this machine's clock, it was accepted.
    pub at: Timestamp,
    /// On which side.
    pub side: Where,
    /// To whom, by e-mail address.
    pub who: String,
    /// Which field, by its name in the CRM.
    pub field: String,
    /// What it became.
    pub value: String,
}

/// All of it, in the order in which it was accepted.
#[derive(Clone, Debug, Default)]
pub struct Diary(pub Vec<Deed>);

impl Diary {
    /// Writes down an edit that was just accepted.
    #[expect(clippy::disallowed_methods, reason = "people look at the clock when they are done")]
    pub fn note(&mut self, side: Where, who: &str, field: &str, value: &str) {
        let (who, field, value) = (who.to_owned(), field.to_owned(), value.to_owned());
        self.0.push(Deed { at: Timestamp::now(), side, who, field, value });
    }

    /// Who edited this field of this person.
    pub fn of<'a>(&'a self, who: &'a str, field: &'a str) -> impl Iterator<Item = &'a Deed> {
        self.0.iter().filter(move |deed| deed.who == who && deed.field == field)
    }
}
