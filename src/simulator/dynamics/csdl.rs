//! The service described in XML: types, navigation and sets.

use std::fmt::Write as _;

use super::model::{ID, Kind, Model, Table};

/// The type of a column, as queries and the description name it.
pub(super) fn edm_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text { .. } | Kind::Memo { .. } | Kind::MultiChoice(_) => "Edm.String",
        Kind::Bool { .. } => "Edm.Boolean",
        Kind::Int { .. } | Kind::Choice(_) | Kind::State(_) | Kind::Status(_) => "Edm.Int32",
        Kind::BigInt => "Edm.Int64",
        Kind::Decimal { .. } | Kind::Money { .. } => "Edm.Decimal",
        Kind::Double { .. } => "Edm.Double",
        Kind::Id | Kind::Lookup { .. } => "Edm.Guid",
        Kind::Date => "Edm.Date",
        Kind::Instant { .. } => "Edm.DateTimeOffset",
    }
}

/// The description of all tables; annotated where that is asked for.
pub(super) fn document(model: &Model, annotated: bool) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <edmx:Edmx Version=\"4.0\" xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\">\n\
         <edmx:DataServices>\n\
         <Schema Namespace=\"Microsoft.Dynamics.CRM\" Alias=\"mscrm\" \
         xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">\n\
         <EntityType Name=\"crmbaseentity\" Abstract=\"true\"/>\n",
    );
    for table in &model.tables {
        entity(&mut xml, model, table);
    }
    xml.push_str("<EntityContainer Name=\"System\">\n");
    for table in &model.tables {
        set(&mut xml, model, table, annotated);
    }
    xml.push_str("</EntityContainer>\n</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n");
    xml
}

// Writing to a String cannot fail.
fn line(xml: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = xml.write_fmt(arguments);
    debug_assert!(written.is_ok(), "a text takes what is written to it");
    xml.push('\n');
}

fn entity(xml: &mut String, model: &Model, table: &Table) {
    let name = &table.name;
    line(xml, format_args!("<EntityType Name=\"{name}\" BaseType=\"mscrm.crmbaseentity\">"));
    let key = &table.column(ID).name;
    line(xml, format_args!("<Key><PropertyRef Name=\"{key}\"/></Key>"));
    for (_, column) in table.live() {
        let more = match column.kind {
            Kind::Text { .. } | Kind::Memo { .. } | Kind::MultiChoice(_) => " Unicode=\"false\"",
            Kind::Decimal { .. } | Kind::Money { .. } => " Scale=\"Variable\"",
            Kind::Id
            | Kind::Int { .. }
            | Kind::BigInt
            | Kind::Double { .. }
            | Kind::Bool { .. }
            | Kind::Choice(_)
            | Kind::State(_)
            | Kind::Status(_)
            | Kind::Date
            | Kind::Instant { .. }
            | Kind::Lookup { .. } => "",
        };
        let (property, edm) = (column.property(), edm_of(&column.kind));
        line(xml, format_args!("<Property Name=\"{property}\" Type=\"{edm}\"{more}/>"));
    }
    for (_, column) in table.live() {
        // An owner is a user or a team by one name, which is described once.
        let mut known = std::collections::BTreeSet::new();
        let targets = column.kind.targets().iter();
        for target in targets.filter(|target| known.insert(&target.navigation)) {
            let (navigation, to) = (&target.navigation, &target.table);
            let key = model.by_name(to).map_or("id", |at| &model.table(at).column(ID).name);
            line(
                xml,
                format_args!(
                    "<NavigationProperty Name=\"{navigation}\" Type=\"mscrm.{to}\" \
                     Nullable=\"false\" Partner=\"{}\"><ReferentialConstraint Property=\"{}\" \
                     ReferencedProperty=\"{key}\"/></NavigationProperty>",
                    target.relationship,
                    column.property()
                ),
            );
        }
    }
    for (relationship, of, partner) in collections(model, table) {
        line(
            xml,
            format_args!(
                "<NavigationProperty Name=\"{relationship}\" Type=\"Collection(mscrm.{of})\" \
                 Partner=\"{partner}\"/>"
            ),
        );
    }
    xml.push_str("</EntityType>\n");
}

/// The collections of a table: relationship, the children's table, their lookup.
fn collections<'a>(model: &'a Model, table: &Table) -> Vec<(&'a str, &'a str, &'a str)> {
    let Some(at) = model.by_name(&table.name) else { return Vec::new() };
    let all = model.references_to(at).map(|(children, target)| {
        let of = model.table(children.table).name.as_str();
        (target.relationship.as_str(), of, target.navigation.as_str())
    });
    all.collect()
}

fn set(xml: &mut String, model: &Model, table: &Table, annotated: bool) {
    let (name, set) = (&table.name, &table.set);
    let kind = format!("Microsoft.Dynamics.CRM.{name}");
    line(xml, format_args!("<EntitySet Name=\"{set}\" EntityType=\"{kind}\">"));
    for (_, column) in table.live() {
        for target in column.kind.targets() {
            let Some(at) = model.by_name(&target.table) else { continue };
            let (path, to) = (&target.navigation, &model.table(at).set);
            line(xml, format_args!("<NavigationPropertyBinding Path=\"{path}\" Target=\"{to}\"/>"));
        }
    }
    if annotated {
        let supported = table.tracking;
        line(
            xml,
            format_args!(
                "<Annotation Term=\"Org.OData.Capabilities.V1.ChangeTracking\"><Record>\
                 <PropertyValue Property=\"Supported\" Bool=\"{supported}\"/></Record></Annotation>"
            ),
        );
    }
    xml.push_str("</EntitySet>\n");
}
