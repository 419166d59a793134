//! What one key cannot know of another.
//!
//! Every rule looks at the whole file and adds what it finds; a file is refused with all of it.

mod accounts;
mod fields;
mod mappings;
mod together;

use super::text::Finding;
use super::{Config, File};

impl TryFrom<File> for Config {
    type Error = Vec<Finding>;

    fn try_from(file: File) -> Result<Self, Vec<Finding>> {
        let mut findings = Findings::default();
        accounts::campaign(&file.campaign, &mut findings);
        accounts::ledger(&file.ledger, &file.campaign, &mut findings);
        for (name, crm) in &file.crm {
            accounts::crm(name, crm, &mut findings);
        }
        let mappings = mappings::resolve(file.mapping, &mut findings);
        let order = together::check(&mappings, &file.crm, &mut findings);
        if findings.0.is_empty() {
            let File { campaign, ledger, agent, crm: crms, mapping: _ } = file;
            Ok(Self { campaign, ledger, agent, crms, mappings, order })
        } else {
            Err(findings.0)
        }
    }
}

/// What was found so far: one thing a key, because the second is mostly a consequence of the first.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, key: impl Into<String>, wrong: impl Into<String>) {
        let found = Finding { key: key.into(), wrong: wrong.into() };
        if self.0.iter().all(|before| before.key != found.key) {
            self.0.push(found);
        }
    }
}
