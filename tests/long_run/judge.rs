//! The judge: from what happened on both sides to what should not have.
//!
//! It reads histories and what both sides hold in the end. The ledger's decisions are asked for one
//! thing: whether a discarded value was accounted for.

use std::collections::{BTreeMap, BTreeSet};

use truce::simulator::people::Where;

use crate::histories::{Author, CONSENT, Event, Histories};

/// What both sides hold of each field of each person in the end.
pub(crate) type Finals = BTreeMap<(String, String), String>;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What should not have happened.
    pub(crate) violations: Vec<String>,
    /// Words of people that gave way, with a decision that says to what.
    pub(crate) decided: usize,
    /// Words that lay between the CRM's read and write.
    pub(crate) excused: usize,
    /// Words whose commit was held back, so that no read showed them before they were replaced.
    pub(crate) unseen: usize,
    /// Fields of people that were edited.
    pub(crate) cells: usize,
}

struct Cell<'a> {
    who: &'a str,
    field: &'a str,
    campaign: Vec<&'a Event>,
    crm: Vec<&'a Event>,
    holds: Option<&'a String>,
}

/// Judges.
pub(crate) fn judge(histories: &Histories, finals: &Finals, decisions: &[String]) -> Verdict {
    let mut cells: BTreeMap<(&str, &str), Cell<'_>> = BTreeMap::new();
    for event in &histories.events {
        let (who, field) = (event.who.as_str(), event.field.as_str());
        let cell = cells.entry((who, field)).or_insert_with(|| Cell {
            who,
            field,
            campaign: Vec::new(),
            crm: Vec::new(),
            holds: finals.get(&(who.to_owned(), field.to_owned())),
        });
        match event.side {
            Where::Campaign => cell.campaign.push(event),
            Where::Crm => cell.crm.push(event),
        }
    }
    let mut verdict = Verdict::default();
    for cell in cells.values() {
        if cell.field == CONSENT {
            cell.judge_consent(&mut verdict);
            continue;
        }
        // What people said of one who was merged or deleted meanwhile may go with the record.
        if histories.merged.contains(cell.who) || cell.holds.is_none() {
            continue;
        }
        cell.judge_last_words(&mut verdict);
        cell.judge_discards(histories, decisions, &mut verdict);
        cell.judge_causes(&mut verdict);
    }
    verdict
}

impl Cell<'_> {
    fn complain(&self, verdict: &mut Verdict, what: &str) {
        let line = |event: &Event| {
            let Event { at, side, author, old, new, .. } = event;
            format!("\n    {at} {side:?} {author:?}: `{old}` -> `{new}`")
        };
        let mut story: Vec<&Event> = self.campaign.iter().chain(&self.crm).copied().collect();
        story.sort_by_key(|event| event.at);
        let story: String = story.into_iter().map(line).collect();
        verdict.violations.push(format!("{}, {}: {what}{story}", self.who, self.field));
    }

    /// Nobody who opted out may ever be opted in by the agent: nobody opts in here. And in the end
    /// whoever opted out is out.
    fn judge_consent(&self, verdict: &mut Verdict) {
        let all = || self.campaign.iter().chain(&self.crm);
        if all().any(|event| event.author == Author::Agent && event.new == "false") {
            self.complain(verdict, "the agent undid an opt-out");
        }
        let opted_out = all().any(|event| event.new == "true");
        if opted_out && self.holds.is_some_and(|holds| holds != "true") {
            self.complain(verdict, "an opt-out did not last");
        }
    }

    /// A field that one side alone edited holds its last word; one that both did holds one of
    /// their last words, and the later where it was said with the other in sight.
    fn judge_last_words(&self, verdict: &mut Verdict) {
        let last = |events: &[&Event]| events.iter().rposition(|e| e.author == Author::Person);
        let (ours, theirs) = (last(&self.campaign), last(&self.crm));
        let word = |events: &[&Event], at: usize| events[at].new.clone();
        let allowed: BTreeSet<String> = match (ours, theirs) {
            (None, None) => return,
            (Some(at), None) => BTreeSet::from([word(&self.campaign, at)]),
            (None, Some(at)) => BTreeSet::from([word(&self.crm, at)]),
            (Some(ours), Some(theirs)) => {
                let (our, their) = (word(&self.campaign, ours), word(&self.crm, theirs));
                let carried = |events: &[&Event], before: usize, word: &str| {
                    let mut told = events[..before].iter();
                    told.any(|event| event.author == Author::Agent && event.new == word)
                };
                if carried(&self.crm, theirs, &our) {
                    BTreeSet::from([their])
                } else if carried(&self.campaign, ours, &their) {
                    BTreeSet::from([our])
                } else {
                    BTreeSet::from([our, their])
                }
            }
        };
        verdict.cells += 1;
        let holds = self.holds.cloned().unwrap_or_default();
        if !allowed.contains(&holds) {
            self.complain(verdict, &format!("holds `{holds}`, which is not the last word"));
        }
    }

    /// A word of a person that the agent replaced, and that never went over, has a decision; or it
    /// was said between the agent's read and its write.
    fn judge_discards(&self, histories: &Histories, decisions: &[String], verdict: &mut Verdict) {
        for (here, there) in [(&self.campaign, &self.crm), (&self.crm, &self.campaign)] {
            for pair in here.windows(2) {
                let (said, replaced) = (pair[0], pair[1]);
                let discarded = said.author == Author::Person
                    && replaced.author == Author::Agent
                    && replaced.old == said.new
                    && self.holds != Some(&said.new)
                    && !there.iter().any(|e| e.author == Author::Agent && e.new == said.new);
                if !discarded {
                    continue;
                }
                let quoted = format!("\"{}\"", said.new);
                if decisions.iter().any(|decision| decision.contains(&quoted)) {
                    verdict.decided += 1;
                } else if in_window(histories, said, replaced) {
                    let held_back = said.at < said.shown;
                    verdict.unseen += usize::from(held_back);
                    verdict.excused += usize::from(!held_back);
                } else {
                    let what = format!("`{}` was discarded without a word", said.new);
                    self.complain(verdict, &what);
                }
            }
        }
    }

    /// What the agent writes was on the other side.
    fn judge_causes(&self, verdict: &mut Verdict) {
        for (here, there) in [(&self.campaign, &self.crm), (&self.crm, &self.campaign)] {
            for event in here.iter().filter(|event| event.author == Author::Agent) {
                let held = there.iter().any(|e| e.new == event.new || e.old == event.new);
                let always = there.is_empty() && self.holds == Some(&event.new);
                if !held && !always && !event.new.is_empty() {
                    self.complain(verdict, &format!("nobody said `{}`", event.new));
                }
            }
        }
    }
}

/// Whether something that was said in the CRM could not be seen yet by the read before the write.
fn in_window(histories: &Histories, said: &Event, replaced: &Event) -> bool {
    let Some((contact, request)) = &replaced.contact else { return false };
    let reads = histories.reads.get(contact).map(Vec::as_slice).unwrap_or_default();
    let before = reads.iter().rfind(|(number, _)| number < request);
    before.is_some_and(|(_, at)| *at <= said.shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: i64, side: Where, author: Author, (old, new): (&str, &str)) -> Event {
        let (who, field) = ("ann".to_owned(), "Phone".to_owned());
        let contact = (side == Crm).then(|| ("003".to_owned(), u64::try_from(at).unwrap()));
        let (old, new) = (old.into(), new.into());
        Event { at, shown: at, side, author, who, field, old, new, contact }
    }

    fn phone(events: Vec<Event>, holds: &str, decisions: &[&str]) -> Verdict {
        let reads = BTreeMap::from([("003".to_owned(), vec![(1, 1), (5, 5)])]);
        let histories = Histories { events, reads, merged: BTreeSet::new() };
        let finals = Finals::from([(("ann".into(), "Phone".into()), holds.to_owned())]);
        let decisions: Vec<String> = decisions.iter().map(|d| (*d).to_owned()).collect();
        judge(&histories, &finals, &decisions)
    }

    use Author::{Agent, Person};
    use Where::{Campaign, Crm};

    #[test]
    fn an_edit_that_went_over_is_fine() {
        let events = vec![event(2, Campaign, Person, ("", "1")), event(3, Crm, Agent, ("", "1"))];
        assert_eq!(phone(events, "1", &[]), Verdict { cells: 1, ..Verdict::default() });
    }

    #[test]
    fn a_last_word_that_is_lost_is_noticed() {
        let lost =
            vec![event(2, Campaign, Person, ("", "1")), event(3, Campaign, Agent, ("1", ""))];
        let verdict = phone(lost, "", &[]);
        assert!(verdict.violations[0].contains("not the last word"), "{verdict:?}");
        // Said with the other word in sight, so it is no conflict.
        let later = vec![
            event(2, Campaign, Person, ("", "1")),
            event(3, Crm, Agent, ("", "1")),
            event(4, Crm, Person, ("1", "2")),
            event(6, Crm, Agent, ("2", "1")),
        ];
        assert_eq!(phone(later, "1", &["\"2\""]).violations.len(), 1);
    }

    #[test]
    fn a_discard_needs_a_decision_or_the_window() {
        let conflict = |said| {
            vec![
                event(2, Campaign, Person, ("", "1")),
                event(said, Crm, Person, ("", "2")),
                event(6, Crm, Agent, ("2", "1")),
            ]
        };
        let unexplained = phone(conflict(3), "1", &[]);
        assert!(unexplained.violations[0].contains("without a word"), "{unexplained:?}");
        assert_eq!(phone(conflict(3), "1", &["[\"\", \"1\", \"2\"]"]).decided, 1);
        let within = phone(conflict(5), "1", &[]);
        assert_eq!((within.excused, within.violations.len()), (1, 0), "read at 5, written at 6");
        let mut held_back = conflict(3);
        held_back[1].shown = 7;
        let unseen = phone(held_back, "1", &[]);
        assert_eq!((unseen.unseen, unseen.violations.len()), (1, 0), "no read showed it");
    }

    #[test]
    fn a_value_that_nobody_said_is_noticed() {
        let events = vec![event(2, Crm, Person, ("", "1")), event(3, Campaign, Agent, ("", "7"))];
        let verdict = phone(events, "1", &[]);
        assert!(verdict.violations[0].contains("nobody said `7`"), "{verdict:?}");
    }

    #[test]
    fn an_opt_out_that_is_undone_is_noticed() {
        let mut events = vec![
            event(2, Campaign, Person, ("false", "true")),
            event(3, Crm, Agent, ("false", "true")),
            event(4, Crm, Agent, ("true", "false")),
        ];
        for event in &mut events {
            CONSENT.clone_into(&mut event.field);
        }
        let histories = Histories { events, ..Histories::default() };
        let finals = Finals::from([(("ann".into(), CONSENT.into()), "false".to_owned())]);
        assert_eq!(judge(&histories, &finals, &[]).violations.len(), 2);
    }
}
