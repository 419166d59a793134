//! Campaign's side: what its database says, and writing to it.

pub mod pgoutput;
mod wire;
pub use wire::WireError;
pub mod slot;
pub mod stream;
