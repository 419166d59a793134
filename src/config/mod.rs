//! The config file, typed: a [`Config`] that exists is one that the agent can work by.
//!
//! One TOML file; a table for each account of a CRM, one for each mapping. Every key has its
//! default next to it and its limit in its type, and stands in `docs/config.md`, which is made from
//! these comments. What one key cannot know of another is checked in `rules`, all of it at once, so
//! that a file is mended in one go. What only the two systems know (whether a column exists, whether
//! a value fits) is not looked at here.
//!
//! Secrets are not in a `Config`: it knows where they are ([`SecretSource`]), so it may be printed.

mod agent;
mod campaign;
mod crm;
mod error;
mod ledger;
mod mapping;
mod names;
mod rules;
mod secret;
mod text;
mod urls;
mod values;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

pub use agent::{Agent, LogFormat};
pub use campaign::Campaign;
pub use crm::{ConsentOptions, Crm, CrmKind, Proof, Signing};
pub use error::{ConfigError, Fault, Faults};
pub use ledger::Ledger;
pub use mapping::{
    Brake, Conflict, Constant, Convert, CreateWith, Delete, DeleteConflict, Direction, Fallback,
    Field, Flap, Identity, Mapping, Merge, Names, Pairing, Side, TooLong,
};
pub use names::{ApiName, Label, SqlName};
pub use secret::{Secret, SecretSource};
pub use text::Environment;
pub use urls::{HttpsUrl, PostgresUrl};
pub use values::{Seconds, Share, Whole};

use mapping::file::MappingFile;
use text::Text;

/// What the file says, after every rule was kept. Only [`load`] and [`parse`] make one.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Campaign's database.
    pub campaign: Campaign,
    /// The agent's own database.
    pub ledger: Ledger,
    /// The process.
    pub agent: Agent,
    /// The accounts of CRMs.
    pub crms: BTreeMap<Label, Crm>,
    /// What stands for what.
    pub mappings: BTreeMap<Label, Mapping>,
    order: Vec<Label>,
}

impl Config {
    /// The mappings in the order of their references: parents before their children.
    pub fn in_order(&self) -> impl Iterator<Item = (&Label, &Mapping)> {
        self.order.iter().filter_map(|name| self.mappings.get_key_value(name))
    }

    /// The account that a mapping's records are in.
    pub fn crm_of(&self, mapping: &Mapping) -> &Crm {
        self.crms.get(&mapping.crm).expect("a mapping of an unknown crm is refused")
    }
}

/// The config file of truce: Campaign's database, accounts of CRMs, and what stands for what.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "truce.toml")]
struct File {
    campaign: Campaign,
    #[serde(default)]
    ledger: Ledger,
    #[serde(default)]
    agent: Agent,
    /// Accounts of CRMs, by a name of your own.
    #[serde(default)]
    crm: BTreeMap<Label, Crm>,
    /// Mappings, by a name of your own.
    #[serde(default)]
    mapping: BTreeMap<Label, MappingFile>,
}

/// Reads a config file, with the process's environment for its `${NAME}`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    parse(&text, path, &process_environment)
}

/// The text of a config file as a [`Config`]. The path is for messages, and its folder for relative
/// file names in it.
pub fn parse(text: &str, path: &Path, environment: Environment<'_>) -> Result<Config, ConfigError> {
    let invalid = |faults| ConfigError::Invalid(Faults { path: path.to_owned(), faults });
    let (mut file, text) = Text::decode::<File>(text, environment).map_err(invalid)?;
    file.rebase(path.parent().unwrap_or(Path::new("")));
    Config::try_from(file).map_err(|findings| invalid(text.faults(findings)))
}

/// The process's environment, as [`SecretSource::read`] wants it.
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The JSON Schema of the config file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

impl File {
    /// Lets relative file names begin at the config file's folder, wherever the agent is started.
    fn rebase(&mut self, folder: &Path) {
        let crms = self.crm.values_mut();
        let in_crms = crms.flat_map(|crm| {
            [
                &mut crm.client_secret_file,
                &mut crm.private_key_file,
                &mut crm.certificate_file,
                &mut crm.ca_file,
            ]
        });
        let in_databases = [&mut self.campaign.password_file, &mut self.ledger.password_file];
        for file in in_crms.chain(in_databases).flatten() {
            *file = folder.join(&*file);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A small config, with `more` after it.
    pub(super) fn parsed(more: &str) -> Config {
        try_parsed(more).unwrap()
    }

    /// The same, with these keys of `[campaign]`.
    pub(crate) fn parsed_with(keys: &str) -> Config {
        let text = SMALL.replace("[campaign]\n", &format!("[campaign]\n{keys}\n"));
        parse(&text, Path::new("folder/truce.toml"), &|_| None).unwrap()
    }

    fn try_parsed(more: &str) -> Result<Config, ConfigError> {
        let text = format!("{SMALL}{more}");
        parse(&text, Path::new("folder/truce.toml"), &|_| None)
    }

    const SMALL: &str = r#"
        [campaign]
        url = "postgresql://truce@127.0.0.1/campaign"
        password_file = "secrets/campaign"

        [crm.sales]
        kind = "salesforce"
        url = "https://example.my.salesforce.com/"
        client_id = "truce"
        client_secret_env = "SECRET"

        [mapping.contacts]
        crm = "sales"
        table = "nmsrecipient"
        key = "irecipientid"
        object = "Contact"
        conflict = "newest"
        fallback = "crm"

        [mapping.contacts.fields]
        email = { campaign = "semail", crm = "Email", conflict = "campaign" }
        name = { campaign = "slastname", crm = "LastName", pairing = "fill_blank" }
    "#;

    #[test]
    fn a_field_has_its_own_policy_or_that_of_its_mapping() {
        let config = parsed("");
        let (_, contacts) = config.in_order().next().unwrap();
        let policies: Vec<_> =
            contacts.fields.values().map(|field| (field.conflict, field.pairing)).collect();
        let newest = Conflict::Newest { fallback: Fallback::Crm };
        assert_eq!(
            policies,
            [
                (Conflict::Campaign, Pairing::Hold),
                (newest, Pairing::FillBlank { otherwise: Side::Crm })
            ]
        );
    }

    #[test]
    fn relative_files_are_beside_the_config() {
        let password = parsed("").campaign.password().unwrap();
        assert_eq!(password, SecretSource::File(PathBuf::from("folder/secrets/campaign")));
    }

    #[test]
    fn parents_come_before_their_children() {
        let accounts = r#"
            account = { campaign = "iaccountid", crm = "AccountId", references = "accounts" }
            boss = { campaign = "ibossid", crm = "ReportsToId", references = "contacts" }

            [mapping.accounts]
            crm = "sales"
            table = "cusaccount"
            key = "iaccountid"
            object = "Account"
            [mapping.accounts.fields]
            name = { campaign = "sname", crm = "Name" }
        "#;
        let config = parsed(accounts);
        let order: Vec<_> = config.in_order().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["accounts", "contacts"]);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let config = parsed("");
        assert!(!format!("{config:?}").contains("hunter2"));
        let inline = SMALL.replace("truce@127", "truce:hunter2@127");
        let error = parse(&inline, Path::new("truce.toml"), &|_| None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
