//! A Campaign database on the private server: the tables we deal with, to the letter of what is
//! known of a real one, and the two roles that meet there.

use tokio_postgres::SimpleQueryMessage;

use super::database::{Database, DatabaseError};
use crate::postgres::{ServerUrl, Session, Settings, connect};

const SCHEMA: &str = include_str!("campaign_schema.sql");

/// How to reach a Campaign database as each of its roles.
#[derive(Clone, Debug)]
pub struct CampaignDatabase {
    /// Campaign itself: owns the database and its tables, and is no superuser.
    pub owner: ServerUrl,
    /// The agent: may log in and replicate, and nothing else until something is granted.
    pub truce: ServerUrl,
    /// The superuser of the server, in this database.
    pub superuser: ServerUrl,
}

impl Database {
    /// Makes a Campaign database of this name; one that is there already is left as it is.
    pub async fn create_campaign(&self, name: &str) -> Result<CampaignDatabase, DatabaseError> {
        let campaign = CampaignDatabase {
            owner: self.url().with_user("campaign").with_password(self.password()),
            truce: self.url().with_user("truce").with_password(self.password()),
            superuser: self.url(),
        };
        let campaign = campaign.in_database(name);
        let server = self.session("postgres").await?;
        if !exists(&server, "pg_database", "datname", name).await? {
            self.create_roles(&server).await?;
            let create = format!("create database \"{name}\" owner campaign");
            carry_out(&server, "create the Campaign database", &create).await?;
            let owner = connect(&campaign.owner, &Settings::default()).await?;
            carry_out(&owner, "create Campaign's tables", SCHEMA).await?;
            owner.close().await;
        }
        server.close().await;
        Ok(campaign)
    }

    /// Grants the agent's role what `truce setup` needs to do all of its work itself: the rights of
    /// the tables' owner, publications in that database, and a database of its own.
    pub async fn grant_setup(&self, campaign: &CampaignDatabase) -> Result<(), DatabaseError> {
        let server = self.session("postgres").await?;
        let grants = format!(
            "grant campaign to truce; alter role truce createdb; \
             grant create on database \"{}\" to truce",
            campaign.owner.database()
        );
        carry_out(&server, "grant what setup needs", &grants).await?;
        server.close().await;
        Ok(())
    }

    async fn create_roles(&self, server: &Session) -> Result<(), DatabaseError> {
        let password = self.password();
        for (role, rights) in [("campaign", "login"), ("truce", "login replication")] {
            if !exists(server, "pg_roles", "rolname", role).await? {
                let create = format!("create role {role} {rights} password '{password}'");
                carry_out(server, "create a role", &create).await?;
            }
        }
        Ok(())
    }
}

impl CampaignDatabase {
    fn in_database(self, name: &str) -> Self {
        Self {
            owner: self.owner.with_database(name),
            truce: self.truce.with_database(name),
            superuser: self.superuser.with_database(name),
        }
    }
}

async fn exists(
    session: &Session,
    catalog: &str,
    column: &str,
    name: &str,
) -> Result<bool, DatabaseError> {
    let query = format!("select 1 from pg_catalog.{catalog} where {column} = '{name}'");
    let answer = session.simple_query(&query).await;
    let rows =
        answer.map_err(|source| DatabaseError::Statement { doing: "look around", source })?;
    Ok(rows.iter().any(|row| matches!(row, SimpleQueryMessage::Row(_))))
}

async fn carry_out(
    session: &Session,
    doing: &'static str,
    statements: &str,
) -> Result<(), DatabaseError> {
    let outcome = session.batch_execute(statements).await;
    outcome.map_err(|source| DatabaseError::Statement { doing, source })
}
