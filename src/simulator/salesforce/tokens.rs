//! Who may come in: access tokens, refresh tokens, and how often somebody logs in.

use std::collections::{BTreeMap, VecDeque};

/// Tokens that are valid at one time; the oldest goes.
const TOKENS_MAX: usize = 1_000;
/// Refresh tokens that are remembered, used up ones too.
const REFRESH_MAX: usize = 1_000;
/// The window of the limit on logins.
const HOUR_S: i64 = 3_600;

/// An access token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    issued: i64,
    used: i64,
}

/// Where a refresh token stands in its grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refresh {
    /// The grant: all tokens that followed from one approval.
    grant: u64,
    /// It was replaced by a newer one.
    replaced: bool,
}

/// What a refresh token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refreshed {
    /// A new access token; with rotation the client gets a new refresh token of this grant too.
    Granted(Option<u64>),
    /// It is not known, or was revoked.
    Unknown,
}

/// All tokens of the organisation.
#[derive(Debug)]
pub(super) struct Tokens {
    valid: BTreeMap<String, Session>,
    refresh: BTreeMap<String, Refresh>,
    grants: u64,
    logins: VecDeque<i64>,
    /// Seconds without use after which an access token expires.
    pub(super) lifetime_s: i64,
    /// Whether each use of a refresh token replaces it.
    pub(super) rotates: bool,
    /// Logins of an hour.
    pub(super) logins_max: usize,
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens {
            valid: BTreeMap::new(),
            refresh: BTreeMap::new(),
            grants: 0,
            logins: VecDeque::new(),
            lifetime_s: 7_200,
            rotates: false,
            logins_max: 3_600,
        }
    }
}

impl Tokens {
    /// Counts a login; none is left where it is false.
    pub(super) fn count_login(&mut self, now: i64) -> bool {
        while self.logins.front().is_some_and(|at| *at <= now - HOUR_S) {
            self.logins.pop_front();
        }
        let is_left = self.logins.len() < self.logins_max;
        if is_left {
            self.logins.push_back(now);
        }
        is_left
    }

    pub(super) fn add(&mut self, token: String, now: i64) {
        if TOKENS_MAX <= self.valid.len() {
            let oldest = self.valid.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(token, _)| token.clone()) {
                self.valid.remove(&oldest);
            }
        }
        self.valid.insert(token, Session { issued: now, used: now });
    }

    /// Whether a token is valid; it is used by asking.
    pub(super) fn accept(&mut self, token: &str, now: i64) -> bool {
        let lifetime = self.lifetime_s;
        match self.valid.get_mut(token) {
            Some(session) if now - session.used <= lifetime => {
                session.used = now.max(session.used);
                true
            }
            Some(_) => {
                self.valid.remove(token);
                false
            }
            None => false,
        }
    }

    /// When a valid token was issued and when it would expire; looking does not use it.
    pub(super) fn look(&self, token: &str, now: i64) -> Option<(i64, i64)> {
        let session = self.valid.get(token)?;
        let end = session.used + self.lifetime_s;
        (now <= end).then_some((session.issued, end))
    }

    /// Takes a token back: an access token alone, a refresh token with its whole grant.
    pub(super) fn revoke(&mut self, token: &str) {
        self.valid.remove(token);
        if let Some(refresh) = self.refresh.get(token).copied() {
            self.refresh.retain(|_, other| other.grant != refresh.grant);
        }
    }

    pub(super) fn expire_all(&mut self) -> usize {
        std::mem::take(&mut self.valid).len()
    }

    /// A grant of its own, for the refresh token that is added next.
    pub(super) fn next_grant(&mut self) -> u64 {
        self.grants += 1;
        self.grants
    }

    pub(super) fn add_refresh(&mut self, token: String, grant: u64) {
        if REFRESH_MAX <= self.refresh.len() {
            self.refresh.pop_first();
        }
        self.refresh.insert(token, Refresh { grant, replaced: false });
    }

    /// Uses a refresh token. One that was replaced and comes again takes the whole grant with it:
    /// of two holders of a grant one must be a thief.
    pub(super) fn use_refresh(&mut self, token: &str) -> Refreshed {
        let rotates = self.rotates;
        let Some(refresh) = self.refresh.get_mut(token) else { return Refreshed::Unknown };
        if refresh.replaced {
            self.revoke(token);
            return Refreshed::Unknown;
        }
        refresh.replaced = rotates;
        Refreshed::Granted(rotates.then_some(refresh.grant))
    }

    pub(super) fn knows_refresh(&self, token: &str) -> bool {
        self.refresh.get(token).is_some_and(|refresh| !refresh.replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_refresh_token_takes_its_grant_along() {
        let mut tokens = Tokens { rotates: true, ..Tokens::default() };
        let grant = tokens.next_grant();
        tokens.add_refresh("one".to_owned(), grant);
        assert_eq!(tokens.use_refresh("one"), Refreshed::Granted(Some(grant)));
        tokens.add_refresh("two".to_owned(), grant);
        assert_eq!(tokens.use_refresh("one"), Refreshed::Unknown);
        assert_eq!(tokens.use_refresh("two"), Refreshed::Unknown, "the grant is gone");
    }

    #[test]
    fn without_rotation_a_refresh_token_lasts() {
        let mut tokens = Tokens::default();
        let grant = tokens.next_grant();
        tokens.add_refresh("one".to_owned(), grant);
        assert_eq!(tokens.use_refresh("one"), Refreshed::Granted(None));
        assert_eq!(tokens.use_refresh("one"), Refreshed::Granted(None));
    }

    #[test]
    fn logins_are_counted_by_the_hour() {
        let mut tokens = Tokens { logins_max: 2, ..Tokens::default() };
        assert!(tokens.count_login(0) && tokens.count_login(10));
        assert!(!tokens.count_login(3_599));
        assert!(tokens.count_login(3_600));
    }
}
