//! The reference of the config file is made from the comments of its types, so that it cannot say
//! anything else: `docs/config.md` for reading, `config/reference.toml` for copying. With
//! `TRUCE_REWRITE=1` they are written, otherwise compared.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use truce::config::{self, Config};

#[test]
fn the_reference_says_what_the_types_say() {
    let schema = config::schema();
    compare("docs/config.md", &markdown(&tables(&schema)));
    compare("config/reference.toml", &toml(&tables(&schema)));
}

#[test]
fn the_reference_has_every_key_at_its_default() {
    let reference = parse(&toml(&tables(&config::schema())));
    let required_only = parse(
        r#"
        [campaign]
        url = "postgresql://truce@127.0.0.1:5432/campaign?sslmode=verify-full"
        [crm.sales]
        kind = "salesforce"
        url = "https://example.my.salesforce.com"
        client_id = "truce"
        client_secret_file = "/run/secrets/salesforce"
        [mapping.contacts]
        crm = "sales"
        table = "nmsrecipient"
        key = "irecipientid"
        object = "Contact"
        [mapping.contacts.fields.email]
        campaign = "semail"
        crm = "Email"
        "#,
    );
    assert_eq!(reference, required_only);
}

#[test]
fn each_example_is_a_config() {
    let mappings = [
        ("config/truce.toml", ["accounts", "contacts"]),
        ("config/dynamics.toml", ["accounts", "contacts"]),
        ("config/two-crms.toml", ["contacts", "dynamics_contacts"]),
    ];
    for (file, wanted) in mappings {
        let example = load(file);
        let order: Vec<_> = example.in_order().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, wanted, "{file}");
    }
}

fn load(file: &str) -> Config {
    config::load(&root().join(file)).unwrap()
}

fn parse(text: &str) -> Config {
    config::parse(text, &root().join("config/truce.toml"), &|_| None).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn compare(file: &str, made: &str) {
    let path = root().join(file);
    if std::env::var_os("TRUCE_REWRITE").is_some() {
        fs::write(&path, made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let line = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
    assert!(
        kept == made,
        "{file} is not what the types say, from line {} on; TRUCE_REWRITE=1 cargo test --test \
         config_reference writes it",
        line.unwrap_or(0) + 1
    );
}

/// A table of the file: what stands in its brackets, and its keys.
struct Table {
    docs_path: String,
    example_path: String,
    meaning: String,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    meaning: String,
    kind: String,
    choices: Vec<(String, String)>,
    default: Option<Value>,
    example: Option<Value>,
    required: bool,
}

/// All tables, in the order in which the types declare them.
fn tables(schema: &Value) -> Vec<Table> {
    let named = |table: &str| &schema["$defs"][table];
    let mut all = Vec::new();
    for (docs_path, example_path, name) in [
        ("campaign", "campaign", "Campaign"),
        ("ledger", "ledger", "Ledger"),
        ("agent", "agent", "Agent"),
        ("crm.NAME", "crm.sales", "Crm"),
        ("mapping.NAME", "mapping.contacts", "Mapping"),
        ("mapping.NAME.brake", "mapping.contacts.brake", "Brake"),
        ("mapping.NAME.flap", "mapping.contacts.flap", "Flap"),
        ("mapping.NAME.create_with", "mapping.contacts.create_with", "CreateWith"),
        ("mapping.NAME.fields.FIELD", "mapping.contacts.fields.email", "Field"),
    ] {
        all.push(table(schema, named(name), docs_path, example_path));
    }
    all
}

fn table(schema: &Value, of: &Value, docs_path: &str, example_path: &str) -> Table {
    let required = of["required"].as_array();
    let keys = of["properties"].as_object().unwrap().iter();
    let keys = keys.filter_map(|(name, key)| {
        let required = required.is_some_and(|names| names.contains(&Value::from(name.as_str())));
        key_of(schema, name, key, required)
    });
    Table {
        docs_path: docs_path.to_owned(),
        example_path: example_path.to_owned(),
        meaning: text(&of["description"]),
        keys: keys.collect(),
    }
}

/// A key, unless it is a table of its own.
fn key_of(schema: &Value, name: &str, key: &Value, required: bool) -> Option<Key> {
    let target = key["anyOf"].get(0).filter(|one| one.get("$ref").is_some()).unwrap_or(key);
    let target = match target["$ref"].as_str() {
        Some(path) => schema.pointer(path.strip_prefix('#').unwrap()).unwrap(),
        None => key,
    };
    let is_table = target.get("properties").is_some()
        || target["additionalProperties"].get("$ref").is_some()
        || (name == "fields" && required);
    let choices = target["oneOf"].as_array().into_iter().flatten();
    (!is_table).then(|| Key {
        name: name.to_owned(),
        meaning: text(&key["description"]),
        kind: kind(schema, name, target),
        choices: choices.map(|one| (json(&one["const"]), text(&one["description"]))).collect(),
        default: key.get("default").filter(|default| !default.is_null()).cloned(),
        example: key["examples"].get(0).cloned(),
        required,
    })
}

/// A description's sentences on one line; a line break of the comment means nothing.
fn text(description: &Value) -> String {
    description.as_str().unwrap_or_default().replace('\n', " ")
}

fn kind(schema: &Value, name: &str, key: &Value) -> String {
    let unit = ["seconds", "ms", "megabytes", "days"]
        .iter()
        .find(|unit| name.split('_').any(|word| word == **unit))
        .map_or("", |unit| if *unit == "ms" { "milliseconds" } else { unit });
    let limits = || format!("from {} to {}", number(&key["minimum"]), number(&key["maximum"]));
    let type_name = key["type"].as_str().or_else(|| key["type"].get(0)?.as_str());
    match type_name.unwrap_or_default() {
        "integer" if unit.is_empty() => format!("A whole number {}.", limits()),
        "integer" => format!("Whole {unit}, {}.", limits()),
        "number" if unit.is_empty() => format!("A number {}.", limits()),
        "number" => format!("In {unit}, {}; fractions are allowed.", limits()),
        "boolean" => "`true` or `false`.".to_owned(),
        "array" => match key["items"]["$ref"].as_str() {
            Some(path) => {
                let items = schema.pointer(path.strip_prefix('#').unwrap()).unwrap();
                let words = items["oneOf"].as_array().unwrap().iter();
                let words: Vec<_> = words.map(|one| format!("`{}`", json(&one["const"]))).collect();
                format!("A list of {}.", words.join(" and "))
            }
            None => "A list of names.".to_owned(),
        },
        "object" => "An inline table.".to_owned(),
        "string" => String::new(),
        _ if key.get("anyOf").is_some() => "A name or a list of names.".to_owned(),
        _ => String::new(),
    }
}

/// A number with its thousands apart.
fn number(number: &Value) -> String {
    let plain = json(number);
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut apart = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if 0 < at && (whole.len() - at).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    if fraction.is_empty() { apart } else { format!("{apart}.{fraction}") }
}

/// A value as TOML writes it; `10.0` is written `10`.
fn json(value: &Value) -> String {
    let written = value.to_string();
    written.strip_suffix(".0").unwrap_or(&written).to_owned()
}

fn markdown(tables: &[Table]) -> String {
    let mut page = String::from(
        "# The config file\n\n\
         One TOML file, given by `--config`. `config/truce.toml` is a small example to start from,\n\
         `config/reference.toml` has every key at its default, and `truce config schema` prints a JSON\n\
         Schema for editors.\n\n\
         `${NAME}` in a text is replaced by that environment variable (`$${` stands for `${` itself).\n\
         Secrets come by `*_file` or `*_env` only, and are never printed. Relative file names begin at\n\
         the folder of the config file. A key that nobody knows is an error, as is every value outside\n\
         of its limits; nothing is started, and the message names line, key and value.\n\n\
         This page is made from the comments of `src/config`; change it there.\n",
    );
    for table in tables {
        write!(page, "\n## `[{}]`\n\n{}\n", table.docs_path, table.meaning).unwrap();
        for key in &table.keys {
            write!(page, "\n### `{}`\n\n{}\n", key.name, key.meaning).unwrap();
            if !key.choices.is_empty() {
                page.push('\n');
            }
            for (word, meaning) in &key.choices {
                writeln!(page, "- `{word}`: {meaning}").unwrap();
            }
            let example =
                key.example.as_ref().map(|example| format!("Example: `{}`.", json(example)));
            let default = match (&key.default, key.required) {
                (_, true) => "Required.".to_owned(),
                (Some(default), false) => format!("Default: `{}`.", json(default)),
                (None, false) => "Optional.".to_owned(),
            };
            let facts = [key.kind.clone(), default, example.unwrap_or_default()];
            let facts: Vec<_> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
            writeln!(page, "\n{}", facts.join(" ")).unwrap();
        }
    }
    page
}

fn toml(tables: &[Table]) -> String {
    let mut file = String::from(
        "# Every key of the config file, at its default. Keys that stand in a comment have none; keys\n\
         # without one have to be there, and show an example. Made from the comments of `src/config`,\n\
         # like docs/config.md, which says more.\n",
    );
    for table in tables {
        file.push('\n');
        comment(&mut file, &table.meaning);
        writeln!(file, "[{}]", table.example_path).unwrap();
        for key in &table.keys {
            file.push('\n');
            comment(&mut file, &key.meaning);
            // One of both secrets has to be there.
            let shown = key.required || key.default.is_some() || key.name == "client_secret_file";
            let value = key.default.as_ref().or(key.example.as_ref()).unwrap_or(&Value::Null);
            let off = if shown { "" } else { "# " };
            writeln!(file, "{off}{} = {}", key.name, json(value)).unwrap();
        }
    }
    file
}

/// Wraps sentences into comment lines.
fn comment(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if 100 < line.len() + 1 + word.len() {
            writeln!(file, "{line}").unwrap();
            "#".clone_into(&mut line);
        }
        write!(line, " {word}").unwrap();
    }
    writeln!(file, "{line}").unwrap();
}
