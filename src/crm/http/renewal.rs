//! Asking for a token, and who it is of.

use std::error::Error;

use jiff::{SignedDuration, Timestamp};

use crate::crm::delays::Delays;
use crate::crm::http::exchange::{self, Broken};
use crate::crm::http::{
    Allowance, Call, Client, Granted, Identity, Introduction, Token, TokenRefusal, Verdict,
    only_https, tls,
};
use crate::peer::PeerError;

impl Client {
    /// Asks for a token, again where that may help.
    pub(super) async fn ask_for_token(&self) -> Result<Token, PeerError> {
        let mut delays = Delays::new(self.connection.pace);
        let mut ours = self.server_now().is_none();
        loop {
            let now = self.server_now().unwrap_or_else(our_clock);
            let form = (self.token_request.form)(now)?;
            self.calls.count(Call::Token);
            let request = self.http.post(&self.token_request.url).form(&form);
            let (source, denied): (Box<dyn Error + Send + Sync>, Option<PeerError>) =
                match self.answer(request).await {
                    Ok(answer) => match (self.dialect.token)(&answer) {
                        Ok(granted) => match self.introduce(granted).await {
                            Ok(token) => return Ok(token),
                            Err(PeerError::Transient { source, .. }) => (source, None),
                            Err(error) => return Err(error),
                        },
                        Err(TokenRefusal::Again(why)) => (why.into(), None),
                        Err(TokenRefusal::Later(after, why)) => {
                            ("too early".into(), Some(PeerError::Throttled { after, why }))
                        }
                        // What was signed by a clock that is wrong is signed once more by theirs.
                        Err(TokenRefusal::Denied(_)) if ours && is_off(now, answer.date) => {
                            ours = false;
                            continue;
                        }
                        Err(TokenRefusal::Denied(why)) => {
                            ("denied".into(), Some(PeerError::Denied { why }))
                        }
                    },
                    Err(Broken::Unreached(error) | Broken::Lost(error)) => {
                        let denied = tls::distrust(&*error).map(|why| self.distrusted(&why));
                        (error, denied)
                    }
                };
            if let Some(denied) = denied {
                return Err(denied);
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(PeerError::Transient { doing: "asking for a token", source }),
            }
        }
    }

    /// Makes a token of what was granted: where that does not say of whom it is, it is asked.
    async fn introduce(&self, granted: Granted) -> Result<Token, PeerError> {
        let base = granted.base.unwrap_or_else(|| self.connection.url.clone());
        only_https(&base)?;
        let (bearer, good_for) = (granted.bearer, granted.good_for);
        let identity = match (granted.identity, self.dialect.introduction) {
            (Some(identity), _) => identity,
            (None, Some(introduction)) => self.ask_who(&base, &bearer, introduction).await?,
            (None, None) => {
                return Err(PeerError::Denied { why: "a token that is nobody's".to_owned() });
            }
        };
        let (organisation, user) = (identity.organisation, identity.user);
        Ok(Token { bearer, base, organisation, user, good_for })
    }

    async fn ask_who(
        &self,
        base: &str,
        bearer: &str,
        introduction: Introduction,
    ) -> Result<Identity, PeerError> {
        let transient = |source| PeerError::Transient { doing: "asking who answers", source };
        self.calls.count(Call::Describe);
        let url = format!("{base}{}", introduction.path);
        let answer = match self.answer(self.http.get(url).bearer_auth(bearer)).await {
            Ok(answer) => answer,
            Err(Broken::Unreached(error) | Broken::Lost(error)) => {
                return Err(match tls::distrust(&*error) {
                    Some(why) => self.distrusted(&why),
                    None => transient(error),
                });
            }
        };
        self.listen(&answer);
        let longest = self.connection.pace.longest;
        match (self.dialect.verdict)(&answer, Allowance::Account) {
            Verdict::Answered => match (introduction.read)(&answer) {
                Some(identity) => Ok(identity),
                None if answer.status < 300 => {
                    Err(transient("an answer that does not say who answers".into()))
                }
                None => Err(PeerError::Denied {
                    why: format!(
                        "`{base}{}` is answered with HTTP status {}; check that url is the \
                         organisation's own address",
                        introduction.path, answer.status
                    ),
                }),
            },
            Verdict::Expired => Err(PeerError::Denied {
                why: format!(
                    "`{base}` refuses a token that was just given for it; check that url is the \
                     organisation's own address, and the tenant"
                ),
            }),
            Verdict::Denied(why) | Verdict::Stopped(why) => Err(PeerError::Denied { why }),
            Verdict::Busy | Verdict::Exhausted => Err(PeerError::Throttled {
                after: exchange::retry_after(&answer).unwrap_or(longest),
                why: "the organisation takes no more calls at once".to_owned(),
            }),
            Verdict::Broken(why) => Err(transient(why.into())),
        }
    }
}

/// Our clock, for what is signed before the server has told its own.
#[expect(clippy::disallowed_methods, reason = "the client reads a clock where it calls")]
fn our_clock() -> Timestamp {
    Timestamp::now()
}

/// Whether a clock that was used is further from the server's than its whole seconds explain.
fn is_off(used: Timestamp, server: Option<Timestamp>) -> bool {
    server.is_some_and(|server| server.duration_since(used).abs() > CLOCK_OFF)
}

/// What is signed is good for minutes; a clock that is off by less was not the reason.
const CLOCK_OFF: SignedDuration = SignedDuration::from_secs(30);
