//! What to do about a pair of records, given what we have seen of each.
