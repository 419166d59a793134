//! How a link is written down: a form of its own, apart from the words of the core.
//!
//! What is looked for (mapping, state, records) are columns; all else is one JSON text, the *body*.
//! It is kept small, since every observation writes it anew and the log carries it whole:
//!
//! - a field that a side holds just as the base does is a number in `same`, and its value stands
//!   once, in `base`;
//! - moments stand once, in `times`, and are named by their place there;
//! - what is as it is by default is left out.
//!
//! A body of a recipient with 12 fields in agreement takes 500 to 600 bytes. `"v"` is the form's
//! version; a member that this release does not know is an error and never dropped in silence.

mod body;
mod seen;
mod times;
mod value;
mod write;

pub use body::{Columns, NotBody, decode, encode};
