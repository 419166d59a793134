//! The folder of what was discovered: a schema an account, schemas of new tables and columns, and the
//! SQL of what is not there yet. What an earlier run wrote is read again, with a person's edits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Unusable;
use crate::discover::object::Account;
use crate::discover::propose::Draft;
use crate::discover::schema::Schema;
use crate::discover::{sql, view};

/// What is in it.
pub(super) struct Folder {
    path: PathBuf,
    /// The schemas of a person's own.
    pub(super) own: Vec<Schema>,
    /// What the last run saw of the account.
    pub(super) earlier: Option<Schema>,
}

/// A schema is some kilobytes; nothing larger is read.
const SCHEMA_BYTES_MAX: u64 = 64 << 20;

impl Folder {
    /// Reads what is there; a folder that is not there holds nothing.
    pub(super) fn open(path: PathBuf, account: &Account) -> Result<Self> {
        let mut folder = Self { path, own: Vec::new(), earlier: None };
        if !folder.path.is_dir() {
            return Ok(folder);
        }
        let entries = fs::read_dir(&folder.path);
        let entries = entries.with_context(|| format!("{}", folder.path.display()))?;
        let mut files: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.sort();
        let own = view::name(account);
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "xml")) {
            let schema = read(file)?;
            match (schema.view, schema.name == own) {
                (true, true) => folder.earlier = Some(schema),
                (true, false) => {}
                (false, _) => folder.own.push(schema),
            }
        }
        Ok(folder)
    }

    /// The schemas of a person's own, with what was proposed in them.
    pub(super) fn own_with(&self, drafts: &[Draft]) -> Vec<Schema> {
        let mut own: BTreeMap<String, Schema> =
            self.own.iter().map(|schema| (schema.full_name(), schema.clone())).collect();
        for schema in drafts.iter().filter_map(|draft| draft.schema.as_ref()) {
            let adds = !schema.element.attributes.is_empty() || !schema.element.parts.is_empty();
            if adds {
                own.insert(schema.full_name(), schema.clone());
            }
        }
        own.into_values().collect()
    }

    /// Writes schemas and SQL; the files that are not as they were.
    pub(super) fn write(
        &self,
        own: &[Schema],
        live: &BTreeMap<String, BTreeSet<String>>,
        database: &str,
    ) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(&self.path).with_context(|| format!("{}", self.path.display()))?;
        let (mut texts, mut statements) = (Vec::new(), Vec::new());
        for schema in own {
            let name = format!("{}_{}.xml", schema.namespace, schema.name);
            texts.push((name, schema.document()));
            let live = live.get(&schema.table().to_lowercase());
            statements.extend(sql::statements(schema, live));
        }
        texts.push(("campaign.sql".to_owned(), sql::script(database, &statements, WHY)));
        self.renew(texts)
    }

    /// Keeps what the account was seen to have, by which the next run tells what is new: the last of
    /// all, as what is in it and in no mapping was taken out by a person.
    pub(super) fn remember(&self, seen: &Schema) -> Result<Vec<PathBuf>> {
        self.renew(vec![(format!("{}.xml", seen.name), seen.document())])
    }

    fn renew(&self, texts: Vec<(String, String)>) -> Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        for (name, text) in texts {
            let file = self.path.join(name);
            let same = fs::read_to_string(&file).is_ok_and(|there| there == text);
            if !same {
                replace(&file, &text)?;
                written.push(file);
            }
        }
        Ok(written)
    }
}

const WHY: &str = "What Campaign's database lacks of what was discovered, for its owner to run.";

fn read(file: &Path) -> Result<Schema> {
    let place = || format!("{}", file.display());
    let length = fs::metadata(file).with_context(place)?.len();
    if SCHEMA_BYTES_MAX < length {
        let why = format!("{} is too large for a schema; move it away", place());
        return Err(Unusable::new(why).into());
    }
    let text = fs::read_to_string(file).with_context(place)?;
    Ok(Schema::parse(&text).map_err(|why| {
        Unusable::new(format!("{} is no schema ({why}); mend it, or move it away", place()))
    })?)
}

/// Writes a file whole, or not at all; its permissions stay.
pub(super) fn replace(file: &Path, text: &str) -> Result<()> {
    let place = || format!("{}", file.display());
    // A link is followed: what it points at is what is meant.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut new =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(place)?;
    new.write_all(text.as_bytes()).with_context(place)?;
    let permissions = match fs::metadata(&file) {
        Ok(there) => there.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    new.as_file().set_permissions(permissions).with_context(place)?;
    new.as_file().sync_all().with_context(place)?;
    new.persist(&file).with_context(place)?;
    Ok(())
}
