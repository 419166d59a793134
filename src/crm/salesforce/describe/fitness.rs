//! Whether fields can do what only keys have to: hold the longest key, tell keys apart by case, be
//! asked for.

use super::Object;

/// What a statement may be, encoded, in an address of 16,384 bytes: the rest is for the host, the
/// path, the condition of a page and headers.
const SELECT_BYTES_MAX: usize = 14_000;

impl Object {
    /// Why an external id field does not hold the longest that it is given.
    pub fn short_external_id(&self, name: &str, longest: usize) -> Option<String> {
        let (column, key) = self.key(name)?;
        (key.length < longest).then(|| {
            format!(
                "external_id `{column}` of `{}` holds {} characters, and campaign.external_id_format \
                 with the longest key makes {longest}; lengthen the field, or shorten the format or \
                 campaign.instance",
                self.name, key.length
            )
        })
    }

    /// Why keys that differ by the case of letters only would be one record's.
    pub fn folds_external_ids(&self, name: &str) -> Option<String> {
        let (column, key) = self.key(name)?;
        key.folds_case.then(|| {
            format!(
                "external_id `{column}` of `{}` does not tell upper from lower case, and Campaign's \
                 key does: two keys that differ by it would be one record; tick `Unique` with \
                 \"treat ABC and abc as different values\"",
                self.name
            )
        })
    }

    /// Why records cannot be asked for by a field.
    pub fn unfilterable(&self, name: &str) -> Option<String> {
        let (column, key) = self.key(name)?;
        (!key.filterable).then(|| {
            format!(
                "match_on: `{column}` of `{}` cannot be filtered by (long text, or encrypted), so no \
                 record can be found by it; match on another field",
                self.name
            )
        })
    }

    /// Why these fields are more than one statement can ask for.
    pub fn too_wide<'a>(&self, fields: impl Iterator<Item = &'a str>) -> Option<String> {
        // Commas and the blanks behind them are three encoded bytes each.
        let bytes: usize = fields.map(|name| name.len() + 6).sum();
        (SELECT_BYTES_MAX < bytes).then(|| {
            format!(
                "the fields that are read of `{}` make a statement of {bytes} bytes, and an address \
                 holds 16,384 with all else that is in it; map fewer fields",
                self.name
            )
        })
    }

    /// Whether Salesforce calculates a field from others.
    pub fn is_calculated(&self, name: &str) -> bool {
        self.key(name).is_some_and(|(_, key)| key.calculated)
    }

    fn key(&self, name: &str) -> Option<(&str, super::Key)> {
        let column = &self.column(name)?.name;
        Some((column, *self.keys.get(column)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Described;
    use super::*;

    fn object() -> Object {
        let described: Described = serde_json::from_value(json!({
            "name": "Contact",
            "fields": [
                { "name": "Key__c", "type": "string", "length": 20, "caseSensitive": false,
                  "filterable": true },
                { "name": "Exact__c", "type": "string", "length": 80, "caseSensitive": true,
                  "filterable": true },
                { "name": "Notes__c", "type": "textarea", "length": 32000, "filterable": false },
            ],
        }))
        .unwrap();
        described.object()
    }

    #[test]
    fn an_external_id_must_hold_the_longest_key() {
        let told = object().short_external_id("key__c", 28).unwrap();
        for word in ["`Key__c`", "holds 20 characters", "makes 28", "external_id_format"] {
            assert!(told.contains(word), "{told}");
        }
        assert_eq!(object().short_external_id("key__c", 20), None);
    }

    #[test]
    fn an_external_id_may_have_to_tell_cases_apart() {
        let told = object().folds_external_ids("Key__c").unwrap();
        assert!(told.contains("treat ABC and abc as different values"), "{told}");
        assert_eq!(object().folds_external_ids("Exact__c"), None);
    }

    #[test]
    fn records_are_matched_by_what_can_be_asked_for() {
        assert!(object().unfilterable("Notes__c").unwrap().contains("`Notes__c`"));
        assert_eq!(object().unfilterable("Key__c"), None);
    }

    #[test]
    fn more_fields_than_an_address_holds_are_told() {
        let fields = |count: usize| (0..count).map(|n| format!("A_Rather_Long_Name_{n:04}__c"));
        let many: Vec<String> = fields(500).collect();
        let told = object().too_wide(many.iter().map(String::as_str)).unwrap();
        assert!(told.contains("16,384"), "{told}");
        let few: Vec<String> = fields(400).collect();
        assert_eq!(object().too_wide(few.iter().map(String::as_str)), None);
    }
}
