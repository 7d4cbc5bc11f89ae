//! A call from the guest's request to the answer: checks, waits for its buckets, puts the secrets in, repeats what
//! may be repeated, follows redirects by hand, and lets the answer teach the buckets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE};
use tokio::time::Instant;

use super::allow::{AllowList, same_origin};
use super::mint::Mint;
use super::rate::{self, Buckets};
use super::secret::{self, Content, Draft, Part, PartContent, Rule, Values, fill, headers_of_guest, same_slot};
use super::spread::Spread;
use super::wire::{Failure, Got, exchange};
use super::{Body, Egress, Request};
use crate::chat::CallError;
use crate::config::SecretText;
use crate::crypto::redact::Needles;
use crate::manifest::{Placement, Slot};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Long polls take minutes.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Of an answer that goes to a guest.
const ANSWER_MAX: u32 = 8 << 20;
/// Of an answer that goes to a file.
const FILE_MAX: u32 = 512 << 20;
const RETRIES: u32 = 2;
/// Before the first repetition; four times as long before the second.
const BACKOFF: Duration = Duration::from_millis(150);
const REDIRECTS: usize = 5;

/// What one bot's way out is made of.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) egress: Egress,
    pub(crate) bot: String,
    pub(crate) allow: AllowList,
    pub(crate) secrets: BTreeMap<String, SecretText>,
    pub(crate) rules: BTreeMap<String, Rule>,
    /// In the manifest's order: each may use those before it.
    pub(crate) minted: Vec<Mint>,
    pub(crate) buckets: Buckets,
    pub(crate) spread: Arc<Spread>,
    pub(crate) needles: RwLock<Arc<Needles>>,
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Which tokens a call used: index and generation.
type Used = Vec<(usize, u64)>;

impl Inner {
    pub(crate) fn needles(&self) -> Arc<Needles> {
        self.needles.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After a token changed.
    pub(crate) fn renew_needles(&self) {
        let minted: Vec<SecretText> = self.minted.iter().flat_map(Mint::values).collect();
        let all = self.secrets.values().chain(&minted).map(SecretText::reveal);
        let needles = Arc::new(Needles::of_secrets(all));
        *self.needles.write().unwrap_or_else(PoisonError::into_inner) = needles;
    }

    pub(crate) fn redact(&self, text: String) -> String {
        self.needles().blank_text(text)
    }

    /// The values of these placements; tokens are minted if need be.
    pub(crate) async fn values(&self, placements: &[Placement]) -> Result<(Values, Used), CallError> {
        let (mut values, mut used) = (Values::new(), Used::new());
        for placement in placements {
            if values.contains_key(&placement.secret) {
                continue;
            }
            let value = match self.minted.iter().position(|m| m.name == placement.secret) {
                Some(index) => {
                    let (value, generation) = self.minted[index].token(self).await?;
                    used.push((index, generation));
                    value
                }
                None => self.secrets.get(&placement.secret).cloned().ok_or_else(|| {
                    CallError::Unauthorized(format!("the secret `{}` is not configured", placement.secret))
                })?,
            };
            values.insert(placement.secret.clone(), value);
        }
        Ok((values, used))
    }

    /// A guest may place a secret only where the manifest lists it.
    pub(crate) fn check_slots(&self, placements: &[Placement]) -> Result<(), CallError> {
        for Placement { secret, slot } in placements {
            let rule = self.rules.get(secret);
            let rule =
                rule.ok_or_else(|| CallError::Rejected(format!("the manifest has no secret `{}`", short(secret))))?;
            if !rule.slots.iter().any(|listed| same_slot(listed, slot)) {
                return Err(CallError::Rejected(format!(
                    "the manifest does not list this slot for `{secret}`"
                )));
            }
        }
        Ok(())
    }

    fn draft(&self, request: &mut Request) -> Result<Draft, CallError> {
        let rejected = |e: String| CallError::Rejected(self.redact(e));
        self.check_slots(&request.secrets)?;
        let allowed = self.allow.read(&request.url).map_err(|e| rejected(e.to_string()))?;
        if !matches!(allowed.url.scheme(), "https" | "http") {
            return Err(rejected("a call goes to `https`".to_owned()));
        }
        let method = Method::from_bytes(request.method.to_ascii_uppercase().as_bytes())
            .ok()
            .filter(|m| !matches!(*m, Method::CONNECT | Method::TRACE))
            .ok_or_else(|| rejected("the method cannot be used".to_owned()))?;
        let mut headers = headers_of_guest(&request.headers, &request.secrets)?;
        let body = match std::mem::replace(&mut request.body, Body::Empty) {
            Body::Empty => Content::Empty,
            Body::Bytes(bytes) => Content::Bytes(bytes.into()),
            Body::File(path) => Content::File(path),
            Body::Multipart(parts) => {
                headers.remove(CONTENT_TYPE);
                let parts = parts.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
                Content::Multipart(Arc::new(parts), Vec::new())
            }
        };
        Ok(Draft {
            method,
            allowed,
            headers,
            body,
            placements: std::mem::take(&mut request.secrets),
        })
    }

    /// The whole call. The body of the answer is as it came: the caller blanks it.
    pub(crate) async fn call(&self, mut request: Request, into: Option<&Path>) -> Result<Got, CallError> {
        let draft = self.draft(&mut request)?;
        let cap = if into.is_some() { FILE_MAX } else { ANSWER_MAX };
        let max_bytes = request.max_bytes.unwrap_or(cap).min(cap);
        let idempotent = matches!(draft.method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE);
        let repeatable = request.repeatable || idempotent;
        let patience = Instant::now() + request.wait.min(TIMEOUT_MAX);
        let mut refused_before = 0;
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            let wait = self.buckets.acquire(&request.buckets, left).await;
            wait.map_err(|longer| CallError::RateLimited(Some(longer)))?;
            let deadline = Instant::now() + request.timeout.unwrap_or(TIMEOUT).min(TIMEOUT_MAX);
            let got = self.authorised(&draft, deadline, repeatable, max_bytes, into).await?;
            let learned = self.learn(&request.buckets, &got);
            // A 429 did nothing: within its patience the call waits again, behind its own bucket.
            let again = got.status == 429
                && refused_before < RETRIES
                && !request.buckets.is_empty()
                && learned.is_some_and(|pause| Instant::now() + pause <= patience);
            if !again {
                return Ok(got);
            }
            refused_before += 1;
        }
    }

    /// What the answer says of the rates. Buckets are named from wide to narrow: what is one bucket's is the last's.
    fn learn(&self, buckets: &[String], got: &Got) -> Option<Duration> {
        let pause = rate::pause(got.status, |name| got.header(name), unix_now())?;
        let narrow = match got.header("x-ratelimit-scope") {
            Some(scope) => scope != "global",
            None => got.status < 400 || got.header("x-ratelimit-bucket").is_some(),
        };
        let global = got.header("x-ratelimit-global").is_some();
        let first = if narrow && !global {
            buckets.len().saturating_sub(1)
        } else {
            0
        };
        for bucket in &buckets[first..] {
            self.buckets.hold(bucket, pause);
        }
        Some(pause)
    }

    /// With its secrets; once more with new tokens if the vendor refuses those.
    async fn authorised(
        &self,
        draft: &Draft,
        deadline: Instant,
        repeatable: bool,
        max_bytes: u32,
        into: Option<&Path>,
    ) -> Result<Got, CallError> {
        let mut first = true;
        loop {
            let values = tokio::time::timeout_at(deadline, self.values(&draft.placements)).await;
            let (values, used) =
                values.map_err(|_| CallError::Unavailable("no token came in time; nothing was sent".to_owned()))??;
            let got = self
                .followed(draft, &values, deadline, repeatable, max_bytes, into)
                .await?;
            let refused: Vec<_> = used
                .iter()
                .filter(|(index, _)| self.minted[*index].is_refused_by(&got))
                .collect();
            if refused.is_empty() {
                return Ok(got);
            }
            for (index, generation) in refused {
                self.minted[*index].forget(*generation);
            }
            if !first {
                return Ok(got);
            }
            first = false;
        }
    }

    /// Follows redirects of GET and HEAD within the allow-list. Where it may not, the redirect is the answer.
    async fn followed(
        &self,
        draft: &Draft,
        values: &Values,
        deadline: Instant,
        repeatable: bool,
        max_bytes: u32,
        into: Option<&Path>,
    ) -> Result<Got, CallError> {
        let mut got = self
            .repeated(draft, values, deadline, repeatable, max_bytes, into)
            .await?;
        if !matches!(draft.method, Method::GET | Method::HEAD) {
            return Ok(got);
        }
        let mut draft = draft.clone();
        for _ in 0..REDIRECTS {
            let location = matches!(got.status, 301 | 302 | 303 | 307 | 308)
                .then(|| got.header("location"))
                .flatten();
            let Some(next) = location.and_then(|location| self.allow.follow(&got.url, &location).ok()) else {
                break;
            };
            if !matches!(next.url.scheme(), "https" | "http") {
                break;
            }
            if same_origin(&next.url, &got.url) {
                // The vendor wrote the whole URL: only headers are added again, and only where they may go.
                draft.placements.retain(|p| {
                    matches!(p.slot, Slot::Header(..) | Slot::BasicUser | Slot::BasicPassword)
                        && self
                            .rules
                            .get(&p.secret)
                            .is_some_and(|r| r.targets.iter().any(|t| t.covers(&next.url)))
                });
            } else {
                if self.needles().found_in(next.url.as_str().as_bytes()) {
                    tracing::warn!(bot = %self.bot, "a redirect would have carried a secret to another host");
                    break;
                }
                draft.placements.clear();
                draft.headers.remove(AUTHORIZATION);
                draft.headers.remove(COOKIE);
            }
            draft.headers.remove(CONTENT_TYPE);
            draft.headers.remove(CONTENT_LENGTH);
            draft.body = Content::Empty;
            draft.allowed = next;
            got = self
                .repeated(&draft, values, deadline, repeatable, max_bytes, into)
                .await?;
        }
        Ok(got)
    }

    /// One exchange, and again what may be repeated, until the deadline.
    pub(crate) async fn repeated(
        &self,
        draft: &Draft,
        values: &Values,
        deadline: Instant,
        repeatable: bool,
        max_bytes: u32,
        into: Option<&Path>,
    ) -> Result<Got, CallError> {
        let needles = self.needles();
        let mut backoff = BACKOFF;
        for left in (0..=RETRIES).rev() {
            let filled = fill(draft, values, &self.rules)?;
            let client = self.egress.client(filled.private);
            let started = Instant::now();
            let host = filled.url.host_str().unwrap_or_default().to_owned();
            let outcome = tokio::time::timeout_at(deadline, exchange(client, filled, &needles, max_bytes, into)).await;
            let duration_ms = started.elapsed().as_millis() as u64;
            let again = left > 0 && repeatable && Instant::now() + backoff < deadline;
            match outcome {
                Ok(Ok(got)) => {
                    tracing::debug!(bot = %self.bot, host, method = %draft.method, status = got.status, duration_ms, "called");
                    let busy = matches!(got.status, 502..=504) && got.header("retry-after").is_none();
                    if !(busy && again) {
                        return Ok(got);
                    }
                }
                Ok(Err(failure)) => {
                    let text = self.redact(failure.to_string());
                    tracing::debug!(bot = %self.bot, host, method = %draft.method, error = text, duration_ms, "no answer");
                    match failure {
                        Failure::Private | Failure::Local(_) => return Err(CallError::Rejected(text)),
                        Failure::TooLarge(limit) => return Err(CallError::TooLarge(limit)),
                        Failure::Connect(_) | Failure::Broken(_) if again => {}
                        Failure::Broken(_) if !repeatable => return Err(CallError::Ambiguous(text)),
                        Failure::Connect(_) | Failure::Broken(_) => return Err(CallError::Unavailable(text)),
                    }
                }
                Err(_) => {
                    let text = format!("no answer from `{host}` in time");
                    return Err(if repeatable {
                        CallError::Unavailable(text)
                    } else {
                        CallError::Ambiguous(text)
                    });
                }
            }
            tokio::time::sleep(backoff).await;
            backoff *= 4;
        }
        // The last round does not come here: without `again` every arm returns.
        Err(CallError::Unavailable("no answer".to_owned()))
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

fn part(part: super::FormPart) -> Result<Part, CallError> {
    let breaks = |text: &str| text.contains(['\r', '\n', '\0', '"']);
    if breaks(&part.name) || part.filename.as_deref().is_some_and(breaks) {
        return Err(CallError::Rejected(
            "a part's name has a quote or a line break".to_owned(),
        ));
    }
    let content = match part.content {
        super::Content::Bytes(bytes) => PartContent::Bytes(Bytes::from(bytes)),
        super::Content::File(path) => PartContent::File(path),
    };
    Ok(Part {
        name: part.name,
        filename: part.filename,
        media_type: part.media_type,
        content,
    })
}

/// The request that mints a token, from the manifest's words.
pub(crate) fn mint_draft(allow: &AllowList, spec: &crate::manifest::Minted) -> Result<Draft, String> {
    use crate::manifest::MintBody;
    let wrong = |why: String| format!("token `{}`: {why}", spec.name);
    let allowed = allow.read(&spec.url).map_err(|e| wrong(e.to_string()))?;
    let method = Method::from_bytes(spec.method.to_ascii_uppercase().as_bytes())
        .map_err(|_| wrong("the method cannot be used".to_owned()))?;
    let mut headers = headers_of_guest(&spec.headers, &spec.placements).map_err(|e| wrong(e.to_string()))?;
    let mut default_type = |value: &'static str| {
        headers
            .entry(CONTENT_TYPE)
            .or_insert(reqwest::header::HeaderValue::from_static(value));
    };
    let body = match &spec.body {
        MintBody::Empty => Content::Empty,
        MintBody::Json(text) => {
            default_type("application/json; charset=utf-8");
            Content::Bytes(Bytes::from(text.clone()))
        }
        MintBody::Form(fields) => {
            default_type("application/x-www-form-urlencoded");
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            Content::Bytes(Bytes::from(form))
        }
    };
    let draft = Draft {
        method,
        allowed,
        headers,
        body,
        placements: spec.placements.clone(),
    };
    Ok(draft)
}

/// Whether the secrets of a mint may go where it asks: tried with values of the right shape.
pub(crate) fn try_fill(draft: &Draft, rules: &BTreeMap<String, Rule>) -> Result<(), CallError> {
    let values: Values = draft
        .placements
        .iter()
        .map(|p| (p.secret.clone(), SecretText::new("value")))
        .collect();
    secret::fill(draft, &values, rules).map(drop)
}
