//! The CRM's side.
