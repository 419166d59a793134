//! Who is going to edit what.

use truce::simulator::people::{Cast, Draw, EDITED, Where};

use crate::size::Size;

/// Everything that is compared of a person, by its name in the CRM.
pub(crate) const FIELDS: [&str; 7] = [
    "FirstName",
    "LastName",
    "Phone",
    "MobilePhone",
    "Title",
    "MailingCity",
    crate::histories::CONSENT,
];

/// One edit that somebody is going to make.
pub(crate) struct Plan {
    pub(crate) side: Where,
    /// Of the cast that both sides know.
    pub(crate) number: usize,
    pub(crate) column: &'static str,
    pub(crate) field: &'static str,
    pub(crate) value: String,
}

/// As many edits a side as there are to be, none of the first people, who are spared: most on a field that
/// nobody else edits, the contested ones next to each other, spread over the whole.
pub(crate) fn plans(cast: &Cast, draw: &mut Draw, wanted: &Size) -> Vec<Plan> {
    let cells = (cast.both.len() - wanted.spared()) * EDITED.len();
    let cells = draw.shuffled((0..cells).collect::<Vec<usize>>());
    let plan = |at: usize, cell: usize, side: Where| {
        let (column, field) = EDITED[cell % EDITED.len()];
        let word = if side == Where::Campaign { "campaign" } else { "crm" };
        let number = wanted.spared() + cell / EDITED.len();
        Plan { side, number, column, field, value: format!("{word} {at}") }
    };
    let alone = 2 * (wanted.edits - wanted.contested);
    let every = alone / wanted.contested;
    let mut cells = cells.into_iter().enumerate();
    let mut plans = Vec::new();
    for at in 0..alone {
        let (number, cell) = cells.next().expect("there are more fields than edits");
        let side = if at.is_multiple_of(2) { Where::Campaign } else { Where::Crm };
        plans.push(plan(number, cell, side));
        if (at + 1).is_multiple_of(every) {
            let (number, cell) = cells.next().expect("there are more fields than edits");
            plans.push(plan(number, cell, Where::Crm));
            plans.push(plan(number, cell, Where::Campaign));
        }
    }
    plans
}
