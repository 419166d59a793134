//! A message as a line of a golden file.

use truce::campaign::pgoutput::{Datum, Message, Old, Tuple};

/// A message without what differs from run to run: positions, ids, times.
pub(crate) fn described(message: &Message<'_>) -> String {
    match message {
        Message::Begin(_) => "begin".to_owned(),
        Message::Commit(_) => "commit".to_owned(),
        Message::Emitted(m) => format!(
            "message {} {}: {}",
            if m.is_transactional { "in its transaction" } else { "by itself" },
            m.prefix,
            String::from_utf8_lossy(m.content)
        ),
        Message::Origin(origin) => format!("origin {} {}", origin.lsn, origin.name),
        Message::Relation(relation) => {
            let columns: Vec<String> = relation
                .columns()
                .map(|column| {
                    let key = if column.is_key { "*" } else { "" };
                    let type_id = if column.type_id.0 < 16_384 {
                        column.type_id.0.to_string()
                    } else {
                        "own".to_owned()
                    };
                    format!("{}{key}:{type_id}/{}", column.name, column.type_modifier)
                })
                .collect();
            let place = format!("{}.{}", relation.schema, relation.name);
            format!("relation {place} {:?} ({})", relation.identity, columns.join(" "))
        }
        Message::Type(named) => format!("type {}.{}", named.schema, named.name),
        Message::Insert(insert) => format!("insert {}", row(&insert.new)),
        Message::Update(update) => match &update.old {
            None => format!("update to {}", row(&update.new)),
            Some(old) => format!("update {} to {}", old_row(old), row(&update.new)),
        },
        Message::Delete(delete) => format!("delete {}", old_row(&delete.old)),
        Message::Truncate(truncate) => format!(
            "truncate {} tables{}{}",
            truncate.relations().count(),
            if truncate.cascades { ", cascade" } else { "" },
            if truncate.restarts_identity { ", restart identity" } else { "" }
        ),
    }
}

fn old_row(old: &Old<'_>) -> String {
    match old {
        Old::Key(tuple) => format!("key {}", row(tuple)),
        Old::Row(tuple) => format!("row {}", row(tuple)),
    }
}

fn row(tuple: &Tuple<'_>) -> String {
    let values: Vec<String> = tuple
        .datums()
        .map(|datum| match datum {
            Datum::Null => "null".to_owned(),
            Datum::Unchanged => "unchanged".to_owned(),
            Datum::Text(text) if 60 < text.len() => format!("{} bytes", text.len()),
            Datum::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
            Datum::Binary(bytes) => format!("binary of {}", bytes.len()),
        })
        .collect();
    format!("({})", values.join(", "))
}
