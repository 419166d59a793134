//! Taking numbers and names off the front of a message.

use std::fmt;

use jiff::Timestamp;

use super::{DecodeError, Tuple, tuple};
use crate::reconcile::Lsn;

/// From 1970, when Unix begins, to 2000, when PostgreSQL does.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// What is left of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::campaign) struct Bytes<'a>(&'a [u8]);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<'a> Bytes<'a> {
    pub(in crate::campaign) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(in crate::campaign) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::campaign) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// What was taken between then and now.
    pub(super) fn up_to(self, now: &Self) -> Self {
        Self(&self.0[..self.0.len() - now.0.len()])
    }

    #[inline]
    fn chunk<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (chunk, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated(what))?;
        self.0 = rest;
        Ok(*chunk)
    }

    #[inline]
    pub(in crate::campaign) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.chunk::<1>(what).map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.chunk(what).map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.chunk(what).map(i32::from_be_bytes)
    }

    /// A number of columns: 16 bits with a sign, though there is never less than none.
    pub(super) fn count(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        let count = i16::from_be_bytes(self.chunk(what)?);
        u16::try_from(count).map_err(|_| DecodeError::Value { what, value: i64::from(count) })
    }

    /// A byte of flags of which one is known.
    pub(in crate::campaign) fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Value { what, value: i64::from(other) }),
        }
    }

    #[inline]
    pub(in crate::campaign) fn lsn(&mut self, what: &'static str) -> Result<Lsn, DecodeError> {
        self.chunk(what).map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    #[inline]
    pub(in crate::campaign) fn timestamp(
        &mut self,
        what: &'static str,
    ) -> Result<Timestamp, DecodeError> {
        let value = i64::from_be_bytes(self.chunk(what)?);
        let since_1970 = value.checked_add(POSTGRES_EPOCH_US);
        since_1970
            .and_then(|us| Timestamp::from_microsecond(us).ok())
            .ok_or(DecodeError::Value { what, value })
    }

    /// A name, ended by a zero byte.
    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(DecodeError::Truncated(what))?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).map_err(|_| DecodeError::NotText(what))
    }

    #[inline]
    pub(super) fn take(&mut self, len: u32, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated(what))?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated(what))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn tuple(&mut self) -> Result<Tuple<'a>, DecodeError> {
        tuple::read(self)
    }
}

/// A moment as PostgreSQL counts it.
pub(in crate::campaign) fn microseconds_since_2000(moment: Timestamp) -> i64 {
    moment.as_microsecond().saturating_sub(POSTGRES_EPOCH_US)
}
