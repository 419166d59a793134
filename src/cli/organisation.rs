//! Whether an account's organisation is the one that is meant: a sandbox or production.
//!
//! A config is written for the one and tried on the other, a sandbox is refreshed, an address is
//! changed in one line: none of that may let a mapping write where nobody expects it to. What the
//! config says, what the address is like and what answered before are compared with what answers.

use crate::config::{Crm, Label};

/// What is known of an account's organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known<'a> {
    /// Its id.
    pub(super) id: &'a str,
    /// Whether it is a sandbox, where that was told.
    pub(super) sandbox: Option<bool>,
}

/// Why an organisation is not the one that is meant, where that is so, and what to do about it.
pub(super) fn misfit(
    name: &Label,
    crm: &Crm,
    was: Option<Known<'_>>,
    is: Known<'_>,
) -> Option<String> {
    let now = is.sandbox?;
    let (id, url, what) = (is.id, crm.url.as_str(), noun(now));
    if let Some(said) = crm.sandbox {
        return (said != now).then(|| {
            format!(
                "crm.{name}.sandbox = {said}, and at `{url}` is {what} {id}; correct crm.{name}.url, \
                 or set sandbox = {now} if that is meant"
            )
        });
    }
    if crm.url.names_sandbox().is_some_and(|named| named != now) {
        return Some(format!(
            "`{url}` is {} address, and {what} {id} answers; set crm.{name}.sandbox = {now} if that \
             is meant",
            if now { "production's" } else { "a sandbox's" }
        ));
    }
    let was = was.filter(|was| was.sandbox.is_some_and(|before| before != now))?;
    Some(format!(
        "crm.{name} was {} {} and is {what} {id} now; set crm.{name}.sandbox = {now} if that is \
         meant: then everything is compared, and creates and deletes wait for `truce held release \
         --epoch`",
        noun(!now),
        was.id
    ))
}

fn noun(sandbox: bool) -> &'static str {
    if sandbox { "the sandbox" } else { "the production organisation" }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::parsed_with;

    use super::*;

    const URL: &str = "https://example.my.salesforce.com";

    fn said(adjust: impl FnOnce(&mut Crm), was: Option<bool>, is: Option<bool>) -> Option<String> {
        let config = parsed_with("");
        let (name, crm) = config.crms.iter().next().unwrap();
        let mut crm = crm.clone();
        adjust(&mut crm);
        let was = was.map(|sandbox| Known { id: "00D1", sandbox: Some(sandbox) });
        misfit(name, &crm, was, Known { id: "00D2", sandbox: is })
    }

    fn at(url: &str) -> impl FnOnce(&mut Crm) {
        let url = url.to_owned();
        |crm| crm.url = url.try_into().unwrap()
    }

    #[test]
    fn what_the_config_says_counts_first() {
        assert_eq!(said(|crm| crm.sandbox = Some(true), Some(false), Some(true)), None);
        let wrong = said(|crm| crm.sandbox = Some(false), None, Some(true)).unwrap();
        assert!(wrong.contains("sandbox = false") && wrong.contains("00D2"), "{wrong}");
    }

    #[test]
    fn an_address_of_the_other_kind_is_not_worked_with() {
        assert_eq!(said(at(URL), None, Some(false)), None);
        let wrong = said(at(URL), None, Some(true)).unwrap();
        assert!(wrong.contains("is production's address, and the sandbox 00D2"), "{wrong}");
        let uat = "https://example--uat.sandbox.my.salesforce.com";
        assert!(said(at(uat), None, Some(false)).is_some());
    }

    #[test]
    fn a_change_between_the_two_must_be_meant() {
        let own = "https://crm.example.com";
        assert_eq!(said(at(own), None, Some(true)), None);
        assert_eq!(said(at(own), Some(true), Some(true)), None);
        let wrong = said(at(own), Some(false), Some(true)).unwrap();
        let words = "was the production organisation 00D1 and is the sandbox 00D2 now";
        assert!(wrong.contains(words) && wrong.contains("sandbox = true"), "{wrong}");
        assert_eq!(said(at(own), Some(false), None), None, "what is not told is not compared");
    }
}
