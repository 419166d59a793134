//! The door: commands.
