//! Where in a side's history something was seen.
//!
//! Campaign's order is (epoch, commit LSN, ordinal in the transaction). A CRM's is (epoch, the
//! moment its read was asked for), since its time stamps have whole seconds, repeat and step back.
//! A Campaign row that was read by `select` is ordered against the log by the snapshot it was read
//! in: a transaction whose id that snapshot sees is older. One mechanism, on every version of
//! PostgreSQL, nothing written.

use std::fmt;
use std::str::FromStr;

/// A point in one side's history; later points compare greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which life of that side: restored, cloned or refreshed, it begins another.
    pub epoch: u32,
    /// Campaign: the commit LSN. CRM: the tick at which the read was asked for.
    pub major: u64,
    /// Campaign: the row's ordinal in its transaction. CRM: 0.
    pub minor: u32,
}

/// A position in the write-ahead log, written as PostgreSQL writes it: `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lsn(pub u64);

/// Why a text is not a log position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLsn(String);

impl fmt::Display for NotLsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a log position such as 16/B374D848", self.0)
    }
}

impl std::error::Error for NotLsn {}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = NotLsn;

    fn from_str(text: &str) -> Result<Self, NotLsn> {
        let parse = |half: &str| u32::from_str_radix(half, 16).ok().filter(|_| half.len() <= 8);
        let halves = text.split_once('/').and_then(|(high, low)| Some((parse(high)?, parse(low)?)));
        match halves {
            Some((high, low)) => Ok(Self(u64::from(high) << 32 | u64::from(low))),
            None => Err(NotLsn(text.to_owned())),
        }
    }
}

/// Which transactions a `select` saw, as `pg_current_snapshot()` prints it: `100:104:101,103`.
///
/// Ids are the 64-bit ones, which do not wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything below had ended.
    pub xmin: u64,
    /// Nothing from here on had begun.
    pub xmax: u64,
    /// What was under way between the two.
    pub running: Vec<u64>,
}

impl Snapshot {
    /// Whether the transaction's effects were visible, provided that it committed.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && !self.running.contains(&xid))
    }
}

impl FromStr for Snapshot {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        let mut number = || parts.next().unwrap_or("").parse();
        let (xmin, xmax) = (number()?, number()?);
        let running = parts.next().unwrap_or("").split(',').filter(|id| !id.is_empty());
        Ok(Self { xmin, xmax, running: running.map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (i, xid) in self.running.iter().enumerate() {
            write!(f, "{}{xid}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_the_log_read_as_postgres_prints_them() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(lsn, Lsn(0x16_B374_D848));
        assert_eq!(lsn.to_string(), "16/B374D848");
        for bad in ["", "16", "16/", "/1", "G/1", "1/123456789", "1/2/3"] {
            assert!(bad.parse::<Lsn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_snapshot_sees_what_had_ended_when_it_was_taken() {
        let snapshot: Snapshot = "100:104:101,103".parse().unwrap();
        let seen: Vec<u64> = (98..106).filter(|xid| snapshot.sees(*xid)).collect();
        assert_eq!(seen, [98, 99, 100, 102]);
        assert_eq!(snapshot.to_string(), "100:104:101,103");
        assert_eq!("7:7:".parse::<Snapshot>().unwrap().to_string(), "7:7:");
    }
}
