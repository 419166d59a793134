//! A second run over what a person edited.

use super::*;
use crate::discover::object::Object;
use crate::discover::propose::tests::{account, field, objects, tables, text, world};
use crate::discover::propose::{World, propose};
use crate::discover::view;

/// A run of discovery over a config file, where the last run saw these objects.
fn run(before: &str, objects: &[Object], seen: Option<&[Object]>) -> String {
    let (tables, mappings) = (tables(), mappings(before).unwrap());
    let earlier = seen.map(|seen| view::schema(&account(), seen, None));
    let world = World { mappings: &mappings, earlier: earlier.as_ref(), ..world(&tables) };
    written(before, &account(), &propose(&account(), objects, &world)).unwrap()
}

const HEAD: &str = "# Ours.\n[campaign]\nurl = \"x\" # kept\n\n  [crm.sales]\n";

#[test]
fn a_second_run_without_news_changes_no_letter() {
    let once = run(HEAD, &objects(), None);
    assert!(once.starts_with(HEAD));
    assert_eq!(run(&once, &objects(), Some(&objects())), once);
}

#[test]
fn what_a_person_edited_stays_and_what_is_new_is_added() {
    let once = run(HEAD, &objects(), None);
    let edits = [
        ("conflict = \"newest\"", "conflict = \"campaign\" # Ann wants that"),
        ("email = { campaign", "# The address.\nmail = { campaign"),
        ("match_on = [\"email\"]", "match_on = [\"mail\"]"),
        ("first_name = { campaign", "#first_name = { campaign"),
    ];
    let mut edited = once.clone();
    for (from, to) in edits {
        assert!(edited.contains(from), "{from}: {edited}");
        edited = edited.replacen(from, to, 1);
    }
    assert_eq!(run(&edited, &objects(), Some(&objects())), edited);
    // A column of recipients is free, and a field that it stands for is new.
    let mut later = objects();
    later[0].fields.push(field("MobilePhone", text(40)));
    let again = run(&edited, &later, Some(&objects()));
    let new =
        "mobile_phone = { campaign = \"smobilephone\", crm = \"MobilePhone\" } # new; certain";
    assert!(again.contains(new), "{again}");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let rest: Vec<String> = lines(&again).into_iter().filter(|line| !line.contains(new)).collect();
    assert_eq!(rest, lines(&edited));
}

#[test]
fn what_is_gone_is_marked_until_it_is_back() {
    let once = run(HEAD, &objects(), None);
    let mut without = objects();
    without[0].fields.retain(|field| &*field.column.name != "Birthdate");
    let marked = run(&once, &without, Some(&objects()));
    let mark = "#! Contact does not have this field any more";
    let at = marked.find(mark).unwrap();
    assert!(marked[at..].lines().nth(1).unwrap().starts_with("birthdate = "), "{marked}");
    assert_eq!(run(&marked, &without, Some(&without)), marked, "it is marked once");
    assert_eq!(run(&marked, &objects(), Some(&objects())), once);
}

#[test]
fn a_mapping_that_a_person_wrote_is_offered_fields_and_given_none() {
    let own = format!(
        "{HEAD}\n[mapping.people]\ncrm = \"sales\"\ntable = \"nmsrecipient\"\nkey = \"irecipientid\"\n\
         object = \"contact\"\n\n[mapping.people.fields]\nmail = {{ campaign = \"semail\", crm = \"email\" }}\n"
    );
    let written = run(&own, &objects()[..1], None);
    assert!(written.contains("#? first_name = { campaign = \"sfirstname\", crm = \"FirstName\" }"));
    assert_eq!(mappings(&written).unwrap()[0].fields, mappings(&own).unwrap()[0].fields);
    assert!(!written.contains("[mapping.contacts]"), "{written}");
    assert_eq!(run(&written, &objects()[..1], Some(&objects()[..1])), written);
}

#[test]
fn the_crms_words_do_not_leave_their_comment() {
    let mut objects = objects();
    objects[0].label = "Con\ntact]\n[campaign]\r\nurl = \"evil\"".to_owned();
    objects[0].fields[0].aside = Some("a\n[b]".to_owned());
    let written = run(HEAD, &objects, None);
    let document: DocumentMut = written.parse().unwrap();
    assert_eq!(document["campaign"]["url"].as_str(), Some("x"));
    assert!(document.get("b").is_none());
}
