//! Framing what comes and goes while data is copied both ways.

use jiff::Timestamp;

use crate::campaign::pgoutput::{Bytes, DecodeError, microseconds_since_2000};
use crate::reconcile::Lsn;

/// PostgreSQL's own limit on anything it holds in one piece, and so on a row.
pub(in crate::campaign) const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// How much of a message there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::campaign) enum Framed {
    /// All of it: this many bytes, the five of its head included.
    Whole(usize),
    /// Not all; this many bytes are known to be missing.
    Missing(usize),
}

/// Looks at the head of what was read.
pub(in crate::campaign) fn framed(inbox: &[u8], bytes_max: usize) -> Result<Framed, String> {
    let Some((_, [a, b, c, d])) = inbox.first_chunk::<5>().and_then(|head| head.split_first())
    else {
        return Ok(Framed::Missing(5 - inbox.len()));
    };
    let len = u32::from_be_bytes([*a, *b, *c, *d]);
    let total = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(1);
    if len < 4 || bytes_max < total {
        return Err(format!("a message of {len} bytes came, more than {bytes_max} are not taken"));
    }
    let missing = total.saturating_sub(inbox.len());
    Ok(if missing == 0 { Framed::Whole(total) } else { Framed::Missing(missing) })
}

/// What is copied to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::campaign) enum Copied<'a> {
    /// A message of the plugin.
    Data { start: Lsn, sent_at: Timestamp, message: &'a [u8] },
    /// The server is alive and has come this far.
    Keepalive { end: Lsn, sent_at: Timestamp, wants_reply: bool },
}

impl<'a> Copied<'a> {
    /// Understands the body of a message of copied data.
    #[inline]
    pub(in crate::campaign) fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut bytes = Bytes::new(body);
        match bytes.u8("kind of copied data")? {
            b'w' => {
                let start = bytes.lsn("start of the data")?;
                let _end = bytes.lsn("end of the log")?;
                let sent_at = bytes.timestamp("time of sending")?;
                Ok(Self::Data { start, sent_at, message: bytes.rest() })
            }
            b'k' => {
                let end = bytes.lsn("end of the log")?;
                let sent_at = bytes.timestamp("time of sending")?;
                let wants_reply = bytes.flag("wish for a reply")?;
                match bytes.len() {
                    0 => Ok(Self::Keepalive { end, sent_at, wants_reply }),
                    left => Err(DecodeError::Trailing(left)),
                }
            }
            kind => Err(DecodeError::Value { what: "kind of copied data", value: i64::from(kind) }),
        }
    }
}

/// How far we have come, as the server is told. `written` is what has reached us; `durable` is what
/// the server may forget.
pub(in crate::campaign) fn standby_status(
    written: Lsn,
    durable: Lsn,
    now: Timestamp,
    wants_reply: bool,
) -> [u8; 39] {
    let mut message = [0; 39];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"d");
    put(1, &38_u32.to_be_bytes());
    put(5, b"r");
    put(6, &written.0.to_be_bytes());
    put(14, &durable.0.to_be_bytes());
    put(22, &durable.0.to_be_bytes());
    put(30, &microseconds_since_2000(now).to_be_bytes());
    put(38, &[u8::from(wants_reply)]);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_when_its_length_says_so() {
        assert_eq!(framed(&[], 99), Ok(Framed::Missing(5)));
        assert_eq!(framed(&[b'd', 0, 0], 99), Ok(Framed::Missing(2)));
        assert_eq!(framed(&[b'd', 0, 0, 0, 6, 1], 99), Ok(Framed::Missing(1)));
        assert_eq!(framed(&[b'd', 0, 0, 0, 6, 1, 2, b'd'], 99), Ok(Framed::Whole(7)));
        assert_eq!(framed(&[b'c', 0, 0, 0, 4], 99), Ok(Framed::Whole(5)));
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for len in [0_u32, 3, 99, u32::MAX] {
            let [a, b, c, d] = len.to_be_bytes();
            assert!(framed(&[b'd', a, b, c, d], 99).is_err(), "{len}");
        }
    }

    #[test]
    fn a_status_says_what_reached_us_and_what_is_durable() {
        let now = "2000-01-01T00:00:01Z".parse().unwrap();
        let message = standby_status(Lsn(2), Lsn(1), now, true);
        let numbers: Vec<u64> = message[6..38]
            .chunks(8)
            .map(|chunk| u64::from_be_bytes(chunk.try_into().unwrap()))
            .collect();
        assert_eq!(numbers, [2, 1, 1, 1_000_000]);
        assert_eq!((message[0], message[4], message[5], message[38]), (b'd', 38, b'r', 1));
    }
}
