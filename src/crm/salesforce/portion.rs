//! How many rows a page asks for: half as many after each question that took too long over there, and
//! twice as many again after a while without.
//!
//! Salesforce gives a question up after two minutes. Asked again as it was, it would be given up again.

use crate::crm::salesforce::api::{Api, Query, Selected};
use crate::crm::salesforce::errors;
use crate::peer::PeerError;

/// Fewer rows than this are not what makes a question slow.
const LEAST: usize = 25;

/// So many pages in time earn twice as many rows.
const CALM: u32 = 10;

/// The rows of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Portion {
    most: usize,
    rows: usize,
    in_time: u32,
}

impl Portion {
    pub(super) fn of(most: usize) -> Self {
        Self { most, rows: most, in_time: 0 }
    }

    /// A question took too long; says whether less may be asked for.
    fn halve(&mut self, asked_for: usize) -> bool {
        self.in_time = 0;
        let less = (asked_for / 2).max(LEAST);
        if less >= asked_for {
            return false;
        }
        self.rows = less;
        true
    }

    /// A page came in time.
    fn passed(&mut self) {
        self.in_time += 1;
        if CALM <= self.in_time && self.rows < self.most {
            self.rows = (self.rows * 2).min(self.most);
            self.in_time = 0;
        }
    }
}

impl Api {
    /// Asks a query for its first rows, at most `limit`, and for fewer where that takes too long. Its
    /// rows are all that there are where it is done and brought fewer than were asked for.
    pub(super) async fn page(
        &self,
        query: Query<'_>,
        (portion, limit): (&mut Portion, usize),
        about: &mut (dyn FnMut() + Send),
    ) -> Result<Selected, PeerError> {
        loop {
            let rows = portion.rows.min(limit).max(1);
            let statement = format!("{} LIMIT {rows}", query.statement);
            match self.query(Query { statement: &statement, ..query }, about).await {
                Ok(selected) => {
                    portion.passed();
                    let done = selected.done && selected.records.len() < rows;
                    return Ok(Selected { done, ..selected });
                }
                Err(error) if errors::timed_out(&error) && portion.halve(rows) => {
                    let fewer = portion.rows;
                    tracing::warn!(rows, fewer, "a question took too long: asking for less");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_halves_to_a_floor_and_grows_back_slowly() {
        let mut portion = Portion::of(2_000);
        let mut sizes = Vec::new();
        while portion.halve(portion.rows) {
            sizes.push(portion.rows);
        }
        assert_eq!(sizes, [1_000, 500, 250, 125, 62, 31, 25]);
        (0..CALM - 1).for_each(|_| portion.passed());
        assert_eq!(portion.rows, 25);
        portion.passed();
        assert_eq!(portion.rows, 50);
        (0..10 * CALM).for_each(|_| portion.passed());
        assert_eq!(portion.rows, 2_000, "and no more than there were");
    }
}
