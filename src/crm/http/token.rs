//! An account's token: asked for when it is needed, renewed once when it has died.
//!
//! Many workers meet the same dead token at the same moment. Each says *which* token it found
//! dead, under one lock, and only the first asks for a new one. Where each token dies as soon as it
//! was given, renewing is bounded: logins are counted over there, for the user's other programs too.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::peer::PeerError;

/// A token, and what came with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the authorization header bears.
    pub bearer: String,
    /// Where this account's requests go.
    pub base: String,
    /// What identifies the organisation.
    pub organisation: String,
    /// As whom the account acts there.
    pub user: String,
    /// How long it lives, where that is said.
    pub good_for: Option<Duration>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What the answer to a request for a token gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Granted {
    /// What the authorization header bears.
    pub bearer: String,
    /// Where this account's requests go, where that is not its own address.
    pub base: Option<String>,
    /// Of whom it is, where that is said.
    pub identity: Option<Identity>,
    /// How long it lives, where that is said.
    pub good_for: Option<Duration>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("good_for", &self.good_for).finish_non_exhaustive()
    }
}

/// Who answers, and as whom we act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What identifies the organisation.
    pub organisation: String,
    /// As whom the account acts there.
    pub user: String,
}

/// Which token of an account: counts renewals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// So many renewals may follow each other at once.
const RENEWALS_MAX: u32 = 20;

/// And then one each time: 360 an hour, a tenth of what Salesforce allows a user.
const RENEWAL_EVERY: Duration = Duration::from_secs(10);

/// A token is renewed when this share of its life is over, before calls are refused.
const RENEWED_AT: f64 = 0.8;

/// How many renewals may be made now: a bucket that fills by one each [`RENEWAL_EVERY`].
#[derive(Debug)]
struct Renewals {
    left: u32,
    filled: Option<Instant>,
}

impl Default for Renewals {
    fn default() -> Self {
        Self { left: RENEWALS_MAX, filled: None }
    }
}

impl Renewals {
    /// Takes one, or says how long to wait for it.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let filled = *self.filled.get_or_insert(now);
        let since = now.saturating_duration_since(filled);
        let more = u32::try_from(since.as_secs() / RENEWAL_EVERY.as_secs()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(RENEWALS_MAX);
        let filled = if self.left == RENEWALS_MAX { now } else { filled + RENEWAL_EVERY * more };
        self.filled = Some(filled);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err((filled + RENEWAL_EVERY).saturating_duration_since(now)),
        }
    }

    /// Gives one back that brought no token: what is bounded are tokens that die, and who asks in
    /// vain waits longer each time by itself.
    fn give_back(&mut self) {
        self.left = (self.left + 1).min(RENEWALS_MAX);
    }
}

#[derive(Debug, Default)]
pub(super) struct Tokens {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    /// When it is renewed before it dies.
    renew_at: Option<Instant>,
    renewals: u64,
    bound: Renewals,
    /// Until when nobody asks, as somebody was told to wait, and what for.
    closed: Option<(Instant, String)>,
    /// The organisation that all tokens are of; another must not be written to unawares.
    organisation: Option<String>,
}

impl Tokens {
    /// Takes whichever organisation answers next for the account's; `known` is one that is
    /// remembered, and the only one that may answer.
    pub(super) async fn expect(&self, known: Option<String>) {
        let mut state = self.state.lock().await;
        let other = |token: &Arc<Token>| known.as_ref().is_some_and(|id| *id != token.organisation);
        if state.token.as_ref().is_some_and(other) {
            state.token = None;
        }
        state.organisation = known.or_else(|| Some(state.token.as_ref()?.organisation.clone()));
    }

    /// The token to use; `dead` is one that the other side no longer takes.
    pub(super) async fn current<F>(
        &self,
        dead: Option<Generation>,
        now: Instant,
        ask: impl FnOnce() -> F,
    ) -> Result<(Arc<Token>, Generation), PeerError>
    where
        F: Future<Output = Result<Token, PeerError>>,
    {
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && dead != Some(Generation(state.renewals))
            && state.renew_at.is_none_or(|at| now < at)
        {
            return Ok((Arc::clone(token), Generation(state.renewals)));
        }
        if let Some((until, why)) = state.closed.as_ref().filter(|(until, _)| now < *until) {
            let after = until.saturating_duration_since(now);
            return Err(PeerError::Throttled { after, why: why.clone() });
        }
        let old = state.token.take().filter(|_| dead != Some(Generation(state.renewals)));
        state.bound.take(now).map_err(|after| PeerError::Throttled {
            after,
            why: "tokens die as soon as they are given; check the session timeout and policies of \
                  the app that client_id names"
                .to_owned(),
        })?;
        let token = match (ask().await, old) {
            (Ok(token), _) => token,
            // It lives on for a while, and is renewed once that may succeed.
            (Err(PeerError::Transient { .. } | PeerError::Throttled { .. }), Some(old)) => {
                state.renew_at = Some(now + RENEWAL_EVERY);
                state.token = Some(Arc::clone(&old));
                return Ok((old, Generation(state.renewals)));
            }
            (Err(error), _) => {
                state.failed(&error, now);
                return Err(error);
            }
        };
        let known = state.organisation.get_or_insert_with(|| token.organisation.clone());
        if *known != token.organisation {
            let (what, was, is) = ("the organisation's id", known.clone(), token.organisation);
            return Err(PeerError::NewEpoch { what, was, is });
        }
        state.renew_at = token.good_for.map(|good_for| now + good_for.mul_f64(RENEWED_AT));
        let token = Arc::new(token);
        state.renewals += 1;
        state.token = Some(Arc::clone(&token));
        Ok((token, Generation(state.renewals)))
    }
}

impl State {
    /// Nobody was given a token.
    fn failed(&mut self, error: &PeerError, now: Instant) {
        match error {
            PeerError::Throttled { after, why } => {
                self.bound.give_back();
                self.closed = Some((now + *after, why.clone()));
            }
            PeerError::Transient { .. } => self.bound.give_back(),
            PeerError::Denied { .. }
            | PeerError::CursorLost { .. }
            | PeerError::NewEpoch { .. }
            | PeerError::Unfit { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn token() -> Token {
        Token {
            bearer: "b".to_owned(),
            base: "https://x".to_owned(),
            organisation: "o".to_owned(),
            user: "u".to_owned(),
            good_for: None,
        }
    }

    #[tokio::test]
    async fn many_workers_with_the_same_dead_token_renew_it_once() {
        let (tokens, asked) = (Tokens::default(), AtomicU32::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(token())
        };
        let now = Instant::now();
        let (_, first) = tokens.current(None, now, ask).await.unwrap();
        let renewals = (0..8).map(|_| tokens.current(Some(first), now, ask));
        let renewed = futures_util::future::join_all(renewals).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert!(renewed.into_iter().all(|renewed| renewed.unwrap().1 != first));
    }

    #[tokio::test]
    async fn a_token_of_another_organisation_is_not_used() {
        let tokens = Tokens::default();
        let (now, ask) = (Instant::now(), || async { Ok(token()) });
        tokens.expect(Some("another".to_owned())).await;
        let other = tokens.current(None, now, ask).await;
        assert!(matches!(other, Err(PeerError::NewEpoch { .. })), "{other:?}");
        tokens.expect(None).await;
        assert!(tokens.current(None, now, ask).await.is_ok());
        tokens.expect(Some("another".to_owned())).await;
        assert!(tokens.current(None, now, ask).await.is_err());
    }

    #[tokio::test]
    async fn a_token_that_says_its_life_is_renewed_before_it_ends() {
        let (tokens, asked) = (Tokens::default(), AtomicU32::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(Token { good_for: Some(Duration::from_secs(100)), ..token() })
        };
        let now = Instant::now();
        tokens.current(None, now, ask).await.unwrap();
        tokens.current(None, now + Duration::from_secs(79), ask).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let later = now + Duration::from_secs(80);
        let broken =
            || async { Err(PeerError::Transient { doing: "asking", source: "gone".into() }) };
        tokens.current(None, later, broken).await.unwrap();
        tokens.current(None, later + RENEWAL_EVERY, ask).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2, "the old one bridged the gap");
    }

    #[test]
    fn renewals_are_bounded_and_come_back_one_by_one() {
        let (mut renewals, now) = (Renewals::default(), Instant::now());
        let at_once = (0..50).filter(|_| renewals.take(now).is_ok()).count();
        assert_eq!(at_once, 20);
        assert_eq!(renewals.take(now + Duration::from_secs(4)), Err(Duration::from_secs(6)));
        assert_eq!(renewals.take(now + Duration::from_secs(13)), Ok(()));
        assert_eq!(renewals.take(now + Duration::from_secs(13)), Err(Duration::from_secs(7)));
        let in_an_hour = (0..3600)
            .filter(|second| renewals.take(now + Duration::from_secs(20 + second)).is_ok());
        assert_eq!(in_an_hour.count(), 360);
    }

    #[tokio::test]
    async fn tokens_that_die_at_once_are_not_asked_for_for_ever() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let ask = || async { Ok(token()) };
        let mut dead = None;
        let refused = loop {
            match tokens.current(dead, now, ask).await {
                Ok((_, generation)) => dead = Some(generation),
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, PeerError::Throttled { .. }), "{refused:?}");
        assert_eq!(dead, Some(Generation(u64::from(RENEWALS_MAX))));
    }

    #[tokio::test]
    async fn who_is_told_to_wait_holds_the_others_up_and_spends_nothing() {
        const AFTER: Duration = Duration::from_secs(2);
        let (tokens, asked) = (Tokens::default(), AtomicU32::new(0));
        let busy = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            Err(PeerError::Throttled { after: AFTER, why: "busy".to_owned() })
        };
        let mut now = Instant::now();
        for _ in 0..2 * RENEWALS_MAX {
            for _worker in 0..4 {
                let Err(PeerError::Throttled { after, why }) =
                    tokens.current(None, now, busy).await
                else {
                    panic!("there is no token")
                };
                assert_eq!((after, &*why), (AFTER, "busy"));
            }
            now += AFTER;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2 * RENEWALS_MAX, "one worker each time");
        assert!(tokens.current(None, now, || async { Ok(token()) }).await.is_ok());
    }
}
