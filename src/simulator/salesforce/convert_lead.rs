//! A lead that is converted: an account, a contact and perhaps an opportunity come of it, and the
//! lead itself is closed to writes from then on.

use super::clock::second;
use super::data::{Actor, Changes, Data};
use super::id::Id;
use super::refusal::Refusal;
use super::table::Row;
use super::value::Value;

/// What the lead becomes; what is not named is made.
#[derive(Debug)]
pub(super) struct Conversion {
    pub(super) lead: Id,
    pub(super) account: Option<Id>,
    pub(super) contact: Option<Id>,
    pub(super) opportunity: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) account: Id,
    pub(super) contact: Id,
    pub(super) opportunity: Option<Id>,
}

/// Converts a lead, whole or not at all.
pub(super) fn convert_lead(
    data: &mut Data,
    conversion: &Conversion,
    actor: Actor,
) -> Result<Converted, Refusal> {
    let mark = data.begin();
    let made = convert(data, conversion, actor);
    if made.is_err() {
        data.roll_back(&mark);
    }
    data.commit();
    made
}

fn convert(data: &mut Data, wanted: &Conversion, actor: Actor) -> Result<Converted, Refusal> {
    let at = object(data, "Lead")?;
    let lead = data.live(at, wanted.lead)?;
    let account = match wanted.account {
        Some(account) => account,
        None => make_account(data, &lead, actor)?,
    };
    let contact = match wanted.contact {
        Some(contact) => contact,
        None => make_contact(data, &lead, account, actor)?,
    };
    let opportunity = match &wanted.opportunity {
        Some(name) => Some(make_opportunity(data, name, account, actor)?),
        None => None,
    };
    let values = [
        ("IsConverted", Value::Bool(true)),
        ("Status", Value::text("Closed - Converted")),
        ("ConvertedDate", today(actor)),
        ("ConvertedAccountId", Value::Id(account)),
        ("ConvertedContactId", Value::Id(contact)),
        ("ConvertedOpportunityId", opportunity.map_or(Value::Null, Value::Id)),
    ];
    let changes = named(data, at, &values);
    data.update(at, wanted.lead, changes, actor)?;
    Ok(Converted { account, contact, opportunity })
}

fn make_account(data: &mut Data, lead: &Row, actor: Actor) -> Result<Id, Refusal> {
    let (from, to) = (object(data, "Lead")?, object(data, "Account")?);
    let company = data.model.object(from).find_any("Company");
    let name = company.map_or(Value::Null, |at| lead.value(at).clone());
    let changes = named(data, to, &[("Name", name)]);
    data.create(to, changes, actor)
}

/// The contact gets what the lead has under the same names; keys and marks stay with the lead.
fn make_contact(data: &mut Data, lead: &Row, account: Id, actor: Actor) -> Result<Id, Refusal> {
    let (from, to) = (object(data, "Lead")?, object(data, "Contact")?);
    let spec = data.model.object(from);
    let mut values: Vec<(&str, Value)> = vec![("AccountId", Value::Id(account))];
    for (at, field) in spec.all_fields().filter(|(_, field)| field.is_writable()) {
        if !field.is_custom() && !lead.value(at).is_null() {
            values.push((&field.name, lead.value(at).clone()));
        }
    }
    let changes = named(data, to, &values);
    data.create(to, changes, actor)
}

fn make_opportunity(data: &mut Data, name: &str, account: Id, actor: Actor) -> Result<Id, Refusal> {
    let to = object(data, "Opportunity")?;
    let values = [
        ("Name", Value::text(name)),
        ("AccountId", Value::Id(account)),
        ("StageName", Value::text("Prospecting")),
        ("CloseDate", today(actor)),
    ];
    let changes = named(data, to, &values);
    data.create(to, changes, actor)
}

fn object(data: &Data, name: &str) -> Result<usize, Refusal> {
    let found = data.model.find_any(name);
    found.ok_or_else(|| Refusal::new("INVALID_TYPE", format!("there is no object {name}")))
}

/// The fields of these names that the object has.
fn named(data: &Data, object: usize, values: &[(&str, Value)]) -> Changes {
    let spec = data.model.object(object);
    let place = |name: &str| spec.find_any(name);
    values.iter().filter_map(|(name, value)| Some((place(name)?, value.clone()))).collect()
}

fn today(actor: Actor) -> Value {
    let at = jiff::Timestamp::from_second(second(actor.now)).unwrap_or_default();
    Value::Date(jiff::tz::Offset::UTC.to_datetime(at).date())
}
