//! An account's token: asked for when it is needed, renewed once when it has died.
//!
//! Many workers meet the same dead token at the same moment. Each says *which* token it found
//! dead, under one lock, and only the first asks for a new one. A refusal that no repeat can mend
//! is remembered for a while, so that a wrong secret does not become a hammer.

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
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Which token of an account: counts renewals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// How long a refusal for good is believed without asking again.
const REFUSED_FOR: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Tokens {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    renewals: u64,
    refused: Option<(Instant, String)>,
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

    /// Believes for a while that no token is taken: this one was refused as soon as it was given.
    pub(super) async fn refuse(&self, dead: Generation, now: Instant, why: &str) {
        let mut state = self.state.lock().await;
        if dead == Generation(state.renewals) {
            state.token = None;
            state.refused = Some((now, why.to_owned()));
        }
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
        {
            return Ok((Arc::clone(token), Generation(state.renewals)));
        }
        state.token = None;
        if let Some((since, why)) = &state.refused
            && now.duration_since(*since) < REFUSED_FOR
        {
            return Err(PeerError::Denied { why: why.clone() });
        }
        match ask().await {
            Ok(token) => {
                let known = state.organisation.get_or_insert_with(|| token.organisation.clone());
                if *known != token.organisation {
                    let (what, was, is) =
                        ("the organisation's id", known.clone(), token.organisation);
                    return Err(PeerError::NewEpoch { what, was, is });
                }
                let token = Arc::new(token);
                state.renewals += 1;
                state.refused = None;
                state.token = Some(Arc::clone(&token));
                Ok((token, Generation(state.renewals)))
            }
            Err(error) => {
                if let PeerError::Denied { why } = &error {
                    state.refused = Some((now, why.clone()));
                }
                Err(error)
            }
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
    async fn tokens_that_are_refused_as_soon_as_they_are_given_are_not_asked_for_on_and_on() {
        let (tokens, asked) = (Tokens::default(), AtomicU32::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(token())
        };
        let now = Instant::now();
        let (_, first) = tokens.current(None, now, ask).await.unwrap();
        let (_, second) = tokens.current(Some(first), now, ask).await.unwrap();
        tokens.refuse(first, now, "no").await;
        assert!(tokens.current(None, now, ask).await.is_ok(), "the first was replaced long ago");
        tokens.refuse(second, now, "no").await;
        for _ in 0..3 {
            let refused = tokens.current(None, now, ask).await;
            assert!(matches!(refused, Err(PeerError::Denied { .. })), "{refused:?}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert!(tokens.current(None, now + REFUSED_FOR, ask).await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_refusal_for_good_is_not_asked_for_again_at_once() {
        let (tokens, asked) = (Tokens::default(), AtomicU32::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            Err(PeerError::Denied { why: "no".to_owned() })
        };
        let now = Instant::now();
        for _ in 0..3 {
            let refused = tokens.current(None, now, ask).await;
            assert!(matches!(refused, Err(PeerError::Denied { .. })));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(tokens.current(None, now + REFUSED_FOR, ask).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
