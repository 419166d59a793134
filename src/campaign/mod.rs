//! Campaign's side: what its database says, and writing to it.

pub mod pgoutput;
