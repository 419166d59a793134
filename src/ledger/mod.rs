//! What is kept of each link.
