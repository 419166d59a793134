//! The two examples of a person's own schemas: they are read, written and read again; and what is made
//! of them in the database.

use std::collections::BTreeSet;

use super::*;
use crate::discover::sql;
use crate::discover::xml::Node;

const EXAMPLE: &str = include_str!("example.xml");
const EXTENSION: &str = include_str!("extension.xml");

/// An element with its attributes in the order of their names: a writer has an order of its own.
fn sorted(mut node: Node) -> Node {
    node.attributes.sort();
    node.children = node.children.into_iter().map(sorted).collect();
    node
}

#[test]
fn a_schema_that_was_read_is_written_as_it_was() {
    for text in [EXAMPLE, EXTENSION] {
        let schema = Schema::parse(text).unwrap();
        assert_eq!(sorted(schema.node()), sorted(Node::parse(text).unwrap()));
        assert_eq!(Schema::parse(&schema.document()), Ok(schema.clone()));
        assert_eq!(problems(&schema), Vec::<String>::new());
    }
    insta::assert_snapshot!(Schema::parse(EXAMPLE).unwrap().document());
}

#[test]
fn the_table_of_a_schema_is_what_campaigns_rules_make_of_it() {
    let schema = Schema::parse(EXAMPLE).unwrap();
    let mut expected = [
        "icrmlinkid",
        "irecipientid",
        "scrminstance",
        "sremoteobject",
        "sremoteid",
        "smasterid",
        "istate",
        "dscore",
        "tsremotemodified",
        "tslastsync",
        "tscreated",
        "tslastmodified",
        "icreatedbyid",
        "imodifiedbyid",
    ];
    expected.sort_unstable();
    assert_eq!(sql::columns(&schema).into_iter().collect::<Vec<_>>(), expected);
    let statements = sql::statements(&schema, None);
    insta::assert_snapshot!(sql::script("public", &statements, "For the example."));
}

#[test]
fn only_what_a_table_lacks_is_added() {
    let schema = Schema::parse(EXAMPLE).unwrap();
    let mut live = sql::columns(&schema);
    assert_eq!(sql::statements(&schema, Some(&live)), Vec::<String>::new());
    live.remove("dscore");
    live.remove("tslastsync");
    assert_eq!(
        sql::statements(&schema, Some(&live)),
        [
            "alter table CusCrmLink add column dScore double precision not null default 0",
            "alter table CusCrmLink add column tsLastSync timestamptz",
            "create index CusCrmLink_lastSync on CusCrmLink (tsLastSync)",
        ]
    );
    let extension = Schema::parse(EXTENSION).unwrap();
    let live = BTreeSet::from(["irecipientid".to_owned()]);
    assert_eq!(
        sql::statements(&extension, Some(&live)),
        [
            "alter table NmsRecipient add column sCrmContactId varchar(36)",
            "create index NmsRecipient_crmContactId on NmsRecipient (sCrmContactId)",
        ]
    );
    assert!(sql::script("public", &[], "Why.").contains("Nothing is left to do"));
}

#[test]
fn what_the_grammar_does_not_know_is_refused_with_its_place() {
    let check = |from: &str, to: &str, told: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        let error = Schema::parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(told), "{error}");
    };
    check(" autopk=\"true\"", " autopk=\"yes\"", "@autopk is `yes`");
    check("type=\"double\"", "type=\"decimal\"", "attribute `score`: @type is `decimal`");
    check("length=\"32\"", "length=\"long\"", "@length is `long`");
    check("length=\"32\"", "size=\"32\"", "attribute `crmInstance`: @size is not of the grammar");
    check("<key name", "<clef name", "expected `</clef>`");
    check("<compute-string ", "<compute ", "element `crmLink`: holds <compute>");
    check("xpath=\"@crmInstance\"", "", "takes either @xpath or @xlink");
    check(" name=\"crmLink\" label", " label", "srcSchema: has no @name");
    check("type=\"link\"", "type=\"chain\"", "@type is `chain`");
}

#[test]
fn what_does_not_fit_together_is_a_problem() {
    let check = |from: &str, to: &str, told: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        let schema = Schema::parse(&EXAMPLE.replacen(from, to, 1)).unwrap();
        let problems = problems(&schema);
        assert!(problems.iter().any(|problem| problem.contains(told)), "{problems:?}");
    };
    check("<element name=\"crmLink\"", "<element name=\"other\"", "own element is `crmLink`");
    check("xpath=\"@remoteId\"", "xpath=\"@nothing\"", "`remote` is over what is not there");
    check("enum=\"linkState\"", "enum=\"state\"", "of a list `state` that is not there");
    check("name=\"gone\"", "name=\"active\"", "two values bear one name");
    check("name=\"masterId\"", "name=\"remoteId\"", "two attributes are called `remoteId`");
    check("name=\"masterId\"", "name=\"1st\"", "`1st` is no name");
    check("target=\"nms:recipient\"", "target=\"recipient\"", "names no schema");
    check(
        "dbindex name=\"lastSync\"",
        "dbindex name=\"remote\"",
        "would be called CusCrmLink_remote",
    );
}
