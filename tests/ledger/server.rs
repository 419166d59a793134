//! One server for the tests of a file, while any of them runs; a database for each.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use truce::ledger::{PostgresLedger, migrate};
use truce::postgres::ServerUrl;
use truce::simulator::database::{Database, DatabaseOptions};

static SERVER: Mutex<Weak<Database>> = Mutex::const_new(Weak::new());

/// A ledger in a database of its own, and what keeps the server.
pub(crate) async fn ledger(name: &str) -> (PostgresLedger, ServerUrl, Arc<Database>) {
    let (url, server) = database(name).await;
    migrate(&url).await.unwrap();
    (PostgresLedger::open(&url).await.unwrap(), url, server)
}

/// An empty database.
pub(crate) async fn database(name: &str) -> (ServerUrl, Arc<Database>) {
    let server = server().await;
    let session = server.session("postgres").await.unwrap();
    let name = &name[..name.len().min(60)];
    session.batch_execute(&format!("create database {name}")).await.unwrap();
    (server.socket_url().with_database(name), server)
}

async fn server() -> Arc<Database> {
    let mut known = SERVER.lock().await;
    if let Some(server) = known.upgrade() {
        return server;
    }
    let settings = vec![("max_connections".to_owned(), "300".to_owned())];
    let options = DatabaseOptions { settings, ..DatabaseOptions::default() };
    let server = Arc::new(Database::start(options).await.unwrap());
    *known = Arc::downgrade(&server);
    server
}
