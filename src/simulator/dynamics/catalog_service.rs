//! The tables by which an environment describes itself: users, teams, currencies, actions.

use super::columns::{count, flag, id, lookup, person, system, text};
use super::model::{Column, Kind, Table};

/// All of them.
pub(super) fn tables() -> Vec<Table> {
    vec![user(), team(), currency(), message(), message_filter(), organization()]
}

fn user() -> Table {
    let mut columns = system("systemuserid");
    columns.extend(person(&[("firstname", 256), ("lastname", 256)]));
    columns.push(text("domainname", "User Name", 1024));
    columns.push(text("internalemailaddress", "Primary Email", 100));
    columns.push(id("applicationid", "Application ID"));
    columns.push(flag("isdisabled", "Status", ["Enabled", "Disabled"], false));
    let table = Table::new(("systemuser", "systemusers"), "User", 8, columns);
    Table { primary_name: "fullname".to_owned(), ..table }
}

fn team() -> Table {
    let mut columns = system("teamid");
    columns.push(text("name", "Team Name", 160));
    Table::new(("team", "teams"), "Team", 9, columns)
}

fn currency() -> Table {
    let mut columns = system("transactioncurrencyid");
    columns.push(text("currencyname", "Currency Name", 100));
    columns.push(text("isocurrencycode", "Currency Code", 5));
    columns.push(text("currencysymbol", "Currency Symbol", 10));
    columns.push(count("currencyprecision", "Currency Precision", 4));
    columns.push(Column::new("exchangerate", "Exchange Rate", Kind::Decimal { precision: 10 }));
    let name = ("transactioncurrency", "transactioncurrencies");
    let table = Table::new(name, "Currency", 9105, columns);
    Table { primary_name: "currencyname".to_owned(), ..table }
}

/// The actions that the service knows, by name.
fn message() -> Table {
    let mut columns = system("sdkmessageid");
    columns.push(text("name", "Name", 256));
    let table = Table::new(("sdkmessage", "sdkmessages"), "Message", 4606, columns);
    Table { tracking: false, ..table }
}

/// The environment itself: one record, with the id that `WhoAmI` tells.
fn organization() -> Table {
    let mut columns = system("organizationid");
    columns.push(text("name", "Organization Name", 160));
    let table = Table::new(("organization", "organizations"), "Organization", 1019, columns);
    Table { tracking: false, ..table }
}

/// For which tables an action is there.
fn message_filter() -> Table {
    let mut columns = system("sdkmessagefilterid");
    columns.push(text("primaryobjecttypecode", "Primary Object Type", 128));
    let targets = [("sdkmessage", "sdkmessageid", "sdkmessageid_sdkmessagefilter")];
    columns.push(lookup("sdkmessageid", "Message", &targets));
    let name = ("sdkmessagefilter", "sdkmessagefilters");
    let table = Table::new(name, "Message Filter", 4607, columns);
    Table { tracking: false, primary_name: "primaryobjecttypecode".to_owned(), ..table }
}
