//! A look ahead for opt-outs, while a pass has many pages to go.
//!
//! A feed gives rows in the order of their stamps, so an opt-out that was made behind 200,000 other
//! changes would be seen a hundred pages later; most of these changes may be our own. So between
//! two pages, as often as an idle feed is polled, the newest records that are opted out and that
//! somebody else saved are asked for. They are observed like any others: a CRM's observations are
//! ordered by when their reads were asked for, and the pass comes by them again.

use crate::crm::http::{Call, Urgency};
use crate::crm::salesforce::Account;
use crate::crm::salesforce::api::{Query, Rows};
use crate::crm::salesforce::plan::{Plan, Sighting};
use crate::crm::salesforce::progress::Pass;
use crate::crm::salesforce::seen::{Print, Seen};
use crate::crm::salesforce::soql;
use crate::peer::{Ask, PeerError};
use crate::reconcile::Shape;

/// The newest opt-outs that the pass has not come by, and that were not given yet; nothing where
/// no consent is mapped.
pub(super) async fn opt_outs(
    account: &Account,
    (plan, seen): (&Plan, &Seen),
    pass: &Pass,
    asked: &mut (dyn Ask + Send),
) -> Result<Vec<Sighting>, PeerError> {
    let Some(is_out) = is_out(plan) else { return Ok(Vec::new()) };
    let statement = format!(
        "{} WHERE SystemModstamp >= {} AND ({is_out}) AND LastModifiedById != {} \
         ORDER BY SystemModstamp DESC, Id DESC LIMIT {}",
        plan.select(),
        soql::instant(pass.reached()),
        soql::text(&account.user().await?),
        account.settings.polling.page,
    );
    let mut tick = None;
    let mut about = || tick = Some(asked.tick());
    let (rows, call, urgency) = (Rows::Live, Call::Feed, Urgency::Feed);
    let query = Query { rows, statement: &statement, call, urgency };
    let selected = account.api.query(query, &mut about).await?;
    let tick = tick.expect("what was answered was sent");
    let mut sightings = Vec::new();
    for record in &selected.records {
        let sighting = plan.observe(record, tick)?;
        let print = Print::of(record, sighting.modified);
        if !seen.knows(&sighting.observation.record, print) {
            sightings.push(sighting);
        }
    }
    Ok(sightings)
}

/// The condition of a record that is opted out by any of its checkboxes.
fn is_out(plan: &Plan) -> Option<String> {
    let consent = plan.mapping.fields.iter().filter(|field| field.shape == Shape::Consent);
    let columns = consent.flat_map(|field| &field.columns);
    let out: Vec<String> = columns.map(|column| format!("{} = true", column.name)).collect();
    (!out.is_empty()).then(|| out.join(" OR "))
}
