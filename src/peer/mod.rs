//! The two doors of a system: a feed of observations and a writer.
