//! A server, a Campaign database, and a slot to stream from.

use std::time::Duration;

use tokio_postgres::Client;
use truce::campaign::pgoutput::Message;
use truce::campaign::slot;
use truce::campaign::stream::{Frame, StartOptions, Stream, StreamError};
use truce::postgres::{ServerUrl, Session, Settings, connect};
use truce::reconcile::Lsn;
use truce::simulator::database::{Database, DatabaseOptions};
use truce::simulator::database_campaign::CampaignDatabase;

use crate::described::described;

/// Longer than anything here takes on a machine that builds beside it.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) campaign: CampaignDatabase,
    pub(crate) owner: Session,
    pub(crate) admin: Session,
    pub(crate) database: Database,
}

impl World {
    pub(crate) async fn new(options: DatabaseOptions) -> Self {
        let database = Database::start(options).await.unwrap();
        let campaign = database.create_campaign("campaign").await.unwrap();
        let owner = connect(&campaign.owner, &Settings::default()).await.unwrap();
        let admin = database.session("campaign").await.unwrap();
        Self { campaign, owner, admin, database }
    }

    /// For a server that lets nobody in by TCP yet: everything is made as the superuser.
    pub(crate) async fn over_the_socket(options: DatabaseOptions) -> Self {
        let database = Database::start(options).await.unwrap();
        let server = database.session("postgres").await.unwrap();
        server.batch_execute("create database campaign").await.unwrap();
        let admin = database.session("campaign").await.unwrap();
        let role =
            format!("create role truce login replication password '{}'", database.password());
        admin.batch_execute(&role).await.unwrap();
        let owner = database.session("campaign").await.unwrap();
        let superuser = database.socket_url().with_database("campaign");
        let truce = database.url().with_database("campaign").with_user("truce");
        let campaign = CampaignDatabase { owner: superuser.clone(), truce, superuser };
        let world = Self { campaign, owner, admin, database };
        world.run("create table t (id integer not null); create unique index t_id on t (id)").await;
        world.publish("t", "t_id").await;
        world
    }

    /// Publishes a table by an index as its identity, and creates the slot `truce`.
    pub(crate) async fn publish(&self, table: &str, index: &str) {
        let publish = format!(
            "alter table {table} replica identity using index {index};
             create publication truce for table {table}"
        );
        self.owner.batch_execute(&publish).await.unwrap();
        slot::create(&self.admin, "truce").await.unwrap();
    }

    pub(crate) async fn run(&self, statements: &str) {
        self.owner.batch_execute(statements).await.unwrap();
    }

    pub(crate) async fn stream(&self) -> Stream {
        self.stream_from(Lsn::default()).await
    }

    pub(crate) async fn stream_from(&self, from: Lsn) -> Stream {
        start(&self.campaign.truce, from).await.unwrap()
    }
}

pub(crate) async fn start(url: &ServerUrl, from: Lsn) -> Result<Stream, StreamError> {
    Stream::start(url, &StartOptions::new("truce", "truce", from)).await
}

/// Reads whole transactions, described line by line, up to this many commits; returns the last
/// commit's end too.
pub(crate) async fn commits(stream: &mut Stream, count: usize) -> (Vec<String>, Lsn) {
    let (mut lines, mut seen, mut end) = (Vec::new(), 0, Lsn::default());
    tokio::time::timeout(PATIENCE, async {
        while seen < count {
            stream.ready().await.unwrap();
            while seen < count {
                let Some(frame) = stream.next_frame().unwrap() else { break };
                let Frame::Change { message, .. } = frame else { continue };
                lines.push(described(&message));
                if let Message::Commit(commit) = message {
                    (seen, end) = (seen + 1, commit.end_lsn);
                }
            }
        }
    })
    .await
    .expect("the transactions come in time");
    (lines, end)
}

/// Reads until the stream fails.
pub(crate) async fn failure(stream: &mut Stream) -> StreamError {
    let run = async {
        loop {
            if let Err(error) = stream.ready().await {
                return error;
            }
            loop {
                match stream.next_frame() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => return error,
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, run).await.expect("the stream fails in time")
}

/// Polls a question of the server until the answer is yes.
pub(crate) async fn until(client: &Client, question: &str) {
    let ask = async {
        while !client.query_one(question, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ask).await.expect(question);
}
