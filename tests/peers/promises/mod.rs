//! What whoever stands behind the two doors promises. Each promise is one function over a stage.

mod feed;
mod reads;
mod values;
mod writes;

pub(crate) use feed::*;
pub(crate) use reads::*;
pub(crate) use values::*;
pub(crate) use writes::*;
