//! Listing all rows of a table by their ids, in the order of the ids' text.
//!
//! A census compares stretches of ids with the ledger, so both must have one order. The service orders
//! GUIDs in one of its own (SQL Server begins with the last six bytes), which no filter turns round. So
//! a table is listed whole, 24 bytes a row, sorted, and given page by page; all pages of a census share
//! one listing, which goes with its last page.

use std::sync::Arc;

use jiff::Timestamp;

use crate::crm::dynamics::Account;
use crate::crm::dynamics::api::{PAGE_MAX, Read, followed};
use crate::crm::dynamics::odata;
use crate::crm::dynamics::plan::{MODIFIED_ON, Plan};
use crate::crm::dynamics::values;
use crate::crm::http::{Call, Urgency};
use crate::crm::sightings::second_of;
use crate::peer::{Listed, PeerError};
use crate::reconcile::RecordId;

/// The rows of a table, each with its stamp's second.
#[derive(Debug, Default)]
pub(super) struct Listing(Vec<(u128, i64)>);

/// A row without a stamp.
const NO_STAMP: i64 = i64::MIN;

impl Listing {
    /// The next rows after this one, at most so many.
    fn after(&self, after: Option<&RecordId>, limit: usize) -> Vec<Listed> {
        let begin = after
            .and_then(|id| bits(&id.0))
            .map_or(0, |last| self.0.partition_point(|(id, _)| *id <= last));
        let page = self.0[begin..].iter().take(limit);
        page.map(|(id, second)| Listed {
            record: RecordId::from(odata::guid(*id)),
            modified: Timestamp::from_second(*second)
                .ok()
                .filter(|_| *second != NO_STAMP)
                .map(|at| second_of(at).until),
        })
        .collect()
    }
}

fn bits(id: &str) -> Option<u128> {
    let digits: String = id.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).ok()
}

/// The next rows of a table after this one, at most so many; an empty list is the end.
pub(super) async fn outline(
    account: &Account,
    plan: &Plan,
    after: Option<&RecordId>,
    limit: usize,
) -> Result<Vec<Listed>, PeerError> {
    let entity = plan.mapping.entity;
    let known = after.and_then(|_| account.listings(|all| all.get(&entity).map(Arc::clone)));
    let listing = if let Some(listing) = known {
        listing
    } else {
        let listing = Arc::new(list(account, plan).await?);
        account.listings(|all| all.insert(entity, Arc::clone(&listing)));
        listing
    };
    let page = listing.after(after, limit);
    if page.is_empty() {
        account.listings(|all| all.remove(&entity));
    }
    Ok(page)
}

async fn list(account: &Account, plan: &Plan) -> Result<Listing, PeerError> {
    let mut listing = Vec::new();
    let mut path = odata::query(&plan.set, &[("$select", MODIFIED_ON)]);
    let prefer = format!("odata.maxpagesize={PAGE_MAX}");
    loop {
        let urgency = Urgency::Ordinary;
        let query = Read { path: &path, prefer: &prefer, call: Call::Scan, urgency };
        let rows = account.api.rows(query, &mut || ()).await?;
        for record in &rows.records {
            let text = |name: &str| record.get(name).and_then(serde_json::Value::as_str);
            let Some(id) = text(&plan.id).and_then(bits) else { continue };
            let stamp = text(MODIFIED_ON).and_then(values::instant);
            listing.push((id, stamp.map_or(NO_STAMP, Timestamp::as_second)));
        }
        match rows.next.as_deref() {
            Some(link) => path = followed(link)?,
            None => break,
        }
    }
    listing.sort_unstable();
    // A row that changed while the pages went by may come twice.
    listing.dedup_by_key(|(id, _)| *id);
    Ok(Listing(listing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_the_order_of_their_text() {
        let mut rows: Vec<(u128, i64)> =
            (0..5).map(|n: u8| (u128::from(n) << 120, i64::from(n))).collect();
        rows[4].1 = NO_STAMP;
        let listing = Listing(rows);
        let first = listing.after(None, 2);
        assert_eq!(&*first[1].record.0, "01000000-0000-0000-0000-000000000000");
        assert_eq!(first[1].modified, Some(Timestamp::from_second(2).unwrap()));
        let rest = listing.after(Some(&first[1].record), 9);
        assert_eq!(rest.len(), 3);
        assert_eq!(rest[2].modified, None);
        assert!(listing.after(Some(&rest[2].record), 9).is_empty());
    }
}
