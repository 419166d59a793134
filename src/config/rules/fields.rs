//! Rules within one field.

use super::Findings;
use crate::config::mapping::file::{FieldFile, MappingFile};
use crate::config::mapping::policy::{ConflictWord, PairingWord, Tie};
use crate::config::{Conflict, Convert, Direction, Fallback, Field, Pairing, Side, TooLong};

const NEWEST: &str = "needs a fallback, because times often cannot tell which value is newer; \
     write fallback = \"campaign\", \"crm\" or \"hold\" beside it";
const FILL_BLANK: &str = "needs to know whose value stands where neither is blank; write fallback = \
     \"campaign\" or \"crm\" beside it";

/// The field with every choice made. What is refused gets a harmless one; it is not used.
pub(super) fn resolve(
    key: &str,
    file: &FieldFile,
    mapping: &MappingFile,
    findings: &mut Findings,
) -> Field {
    let field = Field {
        campaign: file.campaign.clone(),
        crm: file.crm.clone(),
        direction: file.direction.unwrap_or(mapping.direction),
        conflict: conflict(file, mapping),
        pairing: pairing(file, mapping),
        references: file.references.clone(),
        zero_is_null: file.zero_is_null,
        too_long: file.too_long,
        convert: file.convert,
        unique: file.unique,
    };
    fallback(key, file, mapping, findings);
    if field.is_consent() {
        consent(key, file, &field, findings);
    } else if !field.campaign.is_single() || !field.crm.is_single() {
        let side = if field.campaign.is_single() { "crm" } else { "campaign" };
        findings.add(
            format!("{key}.{side}"),
            "lists several, which only consent can join; name one, or write conflict = \
             \"most_restrictive\"",
        );
    }
    reserved(key, &field, mapping, findings);
    // Better refused than ignored.
    if field.convert != Convert::Default {
        findings.add(
            format!("{key}.convert"),
            "is not supported by this version; \"default\" converts by the types of both sides",
        );
    }
    field
}

fn conflict(file: &FieldFile, mapping: &MappingFile) -> Conflict {
    match file.conflict.unwrap_or(mapping.conflict) {
        ConflictWord::Campaign => Conflict::Campaign,
        ConflictWord::Crm => Conflict::Crm,
        ConflictWord::Newest => Conflict::Newest { fallback: or_hold(file, mapping) },
        ConflictWord::FillBlank => Conflict::FillBlank { otherwise: or_campaign(file, mapping) },
        ConflictWord::MostRestrictive => Conflict::MostRestrictive,
        ConflictWord::Hold => Conflict::Hold,
    }
}

fn pairing(file: &FieldFile, mapping: &MappingFile) -> Pairing {
    if conflict(file, mapping) == Conflict::MostRestrictive {
        return Pairing::MostRestrictive;
    }
    match file.pairing.unwrap_or(mapping.pairing) {
        PairingWord::Campaign => Pairing::Campaign,
        PairingWord::Crm => Pairing::Crm,
        PairingWord::Newest => Pairing::Newest { fallback: or_hold(file, mapping) },
        PairingWord::FillBlank => Pairing::FillBlank { otherwise: or_campaign(file, mapping) },
        PairingWord::Hold => Pairing::Hold,
    }
}

fn or_hold(file: &FieldFile, mapping: &MappingFile) -> Fallback {
    file.fallback.or(mapping.fallback).unwrap_or(Fallback::Hold)
}

fn or_campaign(file: &FieldFile, mapping: &MappingFile) -> Side {
    match or_hold(file, mapping) {
        Fallback::Campaign | Fallback::Hold => Side::Campaign,
        Fallback::Crm => Side::Crm,
    }
}

/// Whether a policy that may come to a tie has what it needs.
pub(super) fn settled(tie: Tie, fallback: Option<Fallback>) -> Result<(), &'static str> {
    match (tie, fallback) {
        (Tie::Never, _)
        | (Tie::Times, Some(_))
        | (Tie::Values, Some(Fallback::Campaign | Fallback::Crm)) => Ok(()),
        (Tie::Times, None) => Err(NEWEST),
        (Tie::Values, None | Some(Fallback::Hold)) => Err(FILL_BLANK),
    }
}

fn fallback(key: &str, file: &FieldFile, mapping: &MappingFile, findings: &mut Findings) {
    let conflict = file.conflict.unwrap_or(mapping.conflict).tie();
    let pairing = file.pairing.unwrap_or(mapping.pairing).tie();
    if file.fallback.is_some() && conflict == Tie::Never && pairing == Tie::Never {
        findings.add(
            format!("{key}.fallback"),
            "has no effect: it belongs to \"newest\" and \"fill_blank\", which this field does not \
             use; remove it",
        );
    }
    // What the field takes from its mapping was looked at there, unless its fallback differs.
    let words = [
        ("conflict", conflict, file.conflict.is_some()),
        ("pairing", pairing, file.pairing.is_some()),
    ];
    for (word, tie, own) in words {
        if (own || file.fallback.is_some())
            && let Err(wrong) = settled(tie, file.fallback.or(mapping.fallback))
        {
            findings.add(format!("{key}.{word}"), wrong);
        }
    }
}

/// Consent goes both ways, joins by what allows less, and is nothing but yes and no.
fn consent(key: &str, file: &FieldFile, field: &Field, findings: &mut Findings) {
    if field.direction != Direction::Both {
        findings.add(
            format!("{key}.direction"),
            "an opt-out is always carried over from either side; write direction = \"both\"",
        );
    }
    let out_of_place = [
        ("pairing", file.pairing.is_some(), "consent always takes what allows less"),
        ("references", file.references.is_some(), "consent is yes or no, not a reference"),
        ("zero_is_null", file.zero_is_null, "consent is yes or no, and 0 is one of both"),
        ("too_long", file.too_long != TooLong::Reject, "consent is yes or no, not a text"),
        ("convert", file.convert != Convert::Default, "consent is yes or no, not converted"),
        ("unique", file.unique == Some(true), "consent is yes or no, which many records hold"),
    ];
    for (word, _, why) in out_of_place.into_iter().filter(|(_, there, _)| *there) {
        findings.add(format!("{key}.{word}"), format!("{why}; remove it"));
    }
}

/// Columns and fields that are not anybody's value.
fn reserved(key: &str, field: &Field, mapping: &MappingFile, findings: &mut Findings) {
    let writes_campaign = field.direction.writes(Side::Campaign);
    for column in &field.campaign {
        let wrong = match column.as_str() {
            _ if *column == mapping.key => "is the key, which the links translate; remove it",
            "tslastmodified" if writes_campaign => {
                "is set by the agent at every write; write direction = \"to_crm\""
            }
            "mdata" if writes_campaign => {
                "is Campaign's own memo, which is never written; write direction = \"to_crm\""
            }
            _ => continue,
        };
        findings.add(format!("{key}.campaign"), format!("`{column}` {wrong}"));
    }
    for name in &field.crm {
        let own = [mapping.external_id.as_ref(), mapping.stamp.as_ref()];
        let wrong = if own.into_iter().flatten().any(|own| own.same_as(name)) {
            "is the mapping's external_id or stamp, which the agent writes; remove it"
        } else if name.as_str().eq_ignore_ascii_case("id") {
            "is the record's own id, which the links keep; remove it"
        } else {
            continue;
        };
        findings.add(format!("{key}.crm"), format!("`{name}` {wrong}"));
    }
}
