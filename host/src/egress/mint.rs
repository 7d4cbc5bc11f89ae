//! Minted tokens: made from secrets on demand, one request at a time for each, kept, renewed early, and used like a
//! secret. A guest never sees the answer that a token came in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::call::Inner;
use super::rate;
use super::secret::Draft;
use super::wire::Got;
use crate::chat::CallError;
use crate::config::SecretText;
use crate::manifest::{Minted, Refusal};

/// A token without a lifetime is used until the vendor refuses it; clocks cannot count for ever.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// The answer should have had a lifetime and has none that can be read.
const UNREADABLE: Duration = Duration::from_secs(300);
/// After a renewal that failed while the old token still holds.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// One request for a token, whatever the call that wants it allows itself.
const TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_MAX: u32 = 256 * 1024;

#[derive(Debug, Clone)]
struct Token {
    value: SecretText,
    generation: u64,
    /// At 80 % of its life.
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// Still blanked: an answer to a call that used it may be on its way.
    before: Option<SecretText>,
    attempts: u64,
    failed: Option<CallError>,
}

#[derive(Debug)]
pub(crate) struct Mint {
    pub(crate) name: String,
    pub(crate) draft: Draft,
    pub(crate) token_at: String,
    pub(crate) lifetime_at: Option<String>,
    pub(crate) refused: Option<Refusal>,
    state: Mutex<State>,
    /// One request at a time.
    flight: Semaphore,
}

impl Mint {
    pub(crate) fn new(spec: &Minted, draft: Draft) -> Self {
        Self {
            name: spec.name.clone(),
            draft,
            token_at: spec.token_at.clone(),
            lifetime_at: spec.lifetime_seconds_at.clone(),
            refused: spec.refused.clone(),
            state: Mutex::default(),
            flight: Semaphore::new(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What must not be seen: the token and the one before.
    pub(crate) fn values(&self) -> Vec<SecretText> {
        let state = self.state();
        state.token.iter().map(|t| t.value.clone()).chain(state.before.clone()).collect()
    }

    fn valid(&self) -> Option<Token> {
        self.state().token.clone().filter(|t| Instant::now() < t.ends_at)
    }

    /// The vendor refused this one; a newer one stays.
    pub(crate) fn forget(&self, generation: u64) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|t| t.generation == generation) {
            state.before = state.token.take().map(|t| t.value);
        }
    }

    /// The token and its generation. Cancel safe: the next who waits makes the request.
    pub(crate) async fn token(&self, inner: &Inner) -> Result<(SecretText, u64), CallError> {
        let seen = {
            let state = self.state();
            if let Some(token) = state.token.as_ref().filter(|t| Instant::now() < t.renew_at) {
                return Ok((token.value.clone(), token.generation));
            }
            state.attempts
        };
        let _flight = match self.flight.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                // Somebody renews it: the old one is good until its end.
                if let Some(token) = self.valid() {
                    return Ok((token.value, token.generation));
                }
                self.flight.acquire().await.map_err(|_| CallError::Unavailable("the host stops".to_owned()))?
            }
        };
        {
            let state = self.state();
            if let Some(token) = state.token.as_ref().filter(|t| Instant::now() < t.renew_at) {
                return Ok((token.value.clone(), token.generation));
            }
            if let Some(error) = state.failed.clone().filter(|_| state.attempts != seen) {
                // What those who waited for the same request get, instead of each asking again.
                return Err(error);
            }
        }
        let asked = Instant::now();
        let outcome = Box::pin(inner.mint(self)).await;
        let mut state = self.state();
        state.attempts += 1;
        let answer = match outcome {
            Ok((value, lifetime)) => {
                let lifetime = lifetime.min(FOR_EVER);
                let generation = state.attempts;
                state.failed = None;
                let token = Token {
                    value: value.clone(),
                    generation,
                    renew_at: asked + lifetime.mul_f64(0.8),
                    ends_at: asked + lifetime,
                };
                if let Some(old) = state.token.replace(token) {
                    state.before = Some(old.value);
                }
                Ok((value, generation))
            }
            Err(error) => {
                state.failed = Some(error.clone());
                match state.token.as_mut().filter(|t| Instant::now() < t.ends_at) {
                    Some(old) => {
                        tracing::warn!(bot = %inner.bot, token = %self.name, %error, "a token was not renewed");
                        old.renew_at = (Instant::now() + TRY_AGAIN).min(old.ends_at);
                        Ok((old.value.clone(), old.generation))
                    }
                    None => Err(error),
                }
            }
        };
        drop(state);
        inner.renew_needles();
        answer
    }

    /// Whether this answer says that the token was refused.
    pub(crate) fn is_refused_by(&self, got: &Got) -> bool {
        if got.status == 401 {
            return true;
        }
        let Some(refusal) = &self.refused else { return false };
        // Most answers do not have any of the words: they are not parsed.
        let body = &got.body;
        let may = |value: &String| !value.is_empty() && body.windows(value.len()).any(|w| w == value.as_bytes());
        if body.len() > ANSWER_MAX as usize || !refusal.values.iter().any(may) {
            return false;
        }
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
        let found = json.pointer(&refusal.at).map(as_text);
        found.is_some_and(|found| refusal.values.contains(&found))
    }
}

fn as_text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Inner {
    /// Asks the vendor for a token.
    async fn mint(&self, mint: &Mint) -> Result<(SecretText, Duration), CallError> {
        let deadline = Instant::now() + TIMEOUT;
        let (values, _) = self.values(&mint.draft.placements).await?;
        let got = self.repeated(&mint.draft, &values, deadline, true, ANSWER_MAX, None).await?;
        let refused = |why: String| CallError::Unauthorized(format!("the token `{}` was not given: {why}", mint.name));
        match got.status {
            200..300 => {}
            429 => return Err(CallError::RateLimited(rate::pause(429, |n| got.header(n), super::call::unix_now()))),
            500.. => return Err(CallError::Unavailable(format!("no token `{}`: status {}", mint.name, got.status))),
            status => return Err(refused(format!("status {status}{}", self.said(&got)))),
        }
        let json: serde_json::Value =
            serde_json::from_slice(&got.body).map_err(|_| refused("the answer is not JSON".to_owned()))?;
        let token = json.pointer(&mint.token_at).and_then(|t| t.as_str()).filter(|t| !t.is_empty());
        let token = token.ok_or_else(|| refused(format!("it is not in the answer{}", self.said(&got))))?;
        let lifetime = match &mint.lifetime_at {
            None => FOR_EVER,
            Some(at) => {
                let seconds = json.pointer(at).and_then(|v| as_text(v).parse::<f64>().ok());
                let seconds = seconds.filter(|s| s.is_finite() && *s > 0.0);
                seconds.map_or(UNREADABLE, |s| Duration::from_secs_f64(s.min(FOR_EVER.as_secs_f64())))
            }
        };
        Ok((SecretText::new(token), lifetime))
    }

    /// The vendor's own words for what is wrong, if they stand where vendors put them.
    fn said(&self, got: &Got) -> String {
        let json: Option<serde_json::Value> = serde_json::from_slice(&got.body).ok();
        let names = ["msg", "message", "error_description", "errmsg", "error"];
        let words = json.and_then(|json| names.iter().find_map(|n| json.get(n)?.as_str().map(str::to_owned)));
        words.map_or_else(String::new, |words| {
            let short: String = words.chars().take(200).collect();
            format!(": {}", self.needles().blank_text(short))
        })
    }
}
