//! How to reach a PostgreSQL server: its URL, TLS, a session.
