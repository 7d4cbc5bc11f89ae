//! Who may use the page: a link with a one-time token, or the password, becomes a cookie.
//!
//! The cookie holds 32 random bytes; the store holds their hash, so a restart keeps the login and a stolen store
//! opens nothing. Links live in memory and are good once.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use dashmap::DashMap;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::reply::{body, html, refusal};
use super::{App, Peer, page};
use crate::chat::{BotName, UnixMillis};
use crate::config::SecretText;
use crate::store::{Journal, StoreError};
use crate::transport::web::{random_text, unix_millis};

/// How long a login lasts.
const LASTS: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Links that are good at the same time; the oldest gives way.
const INVITES_MAX: usize = 16;
/// Wrong passwords from one address within [`FAILURES_WITHIN`].
const FAILURES_MAX: u32 = 5;
/// Wrong passwords from everywhere within the same time.
const FAILURES_MAX_ALL: u32 = 100;
const FAILURES_WITHIN: Duration = Duration::from_secs(5 * 60);

type Hash = [u8; 32];

pub(super) struct Login {
    journal: Journal,
    password: Option<SecretText>,
    /// Browsers share cookies between ports, so the name tells ours.
    cookie: String,
    /// No bot can have this name: no adapter reads what is kept under it.
    space: BotName,
    invites: Mutex<VecDeque<Hash>>,
    /// Logins that were seen in the store, until when they are good.
    seen: DashMap<Hash, UnixMillis>,
    failures: Mutex<Failures>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}

/// Wrong passwords of the present window.
#[derive(Debug)]
struct Failures {
    since: Instant,
    all: u32,
    by: HashMap<IpAddr, u32>,
}

impl Failures {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            all: 0,
            by: HashMap::new(),
        }
    }

    /// Whether one more try is allowed.
    fn allows(&mut self, peer: IpAddr) -> bool {
        if self.since.elapsed() > FAILURES_WITHIN {
            *self = Self::new();
        }
        self.all < FAILURES_MAX_ALL && self.by.get(&peer).is_none_or(|count| *count < FAILURES_MAX)
    }

    fn count(&mut self, peer: IpAddr) {
        self.all += 1;
        *self.by.entry(peer).or_default() += 1;
    }
}

fn hash_of(text: &str) -> Hash {
    Sha256::digest(text).into()
}

fn key_of(hash: &Hash) -> String {
    format!("session/{}", hex::encode(hash))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Login {
    pub(super) fn new(journal: Journal, password: Option<SecretText>, port: u16) -> Self {
        Self {
            journal,
            password,
            cookie: format!("botyard-{port}"),
            space: BotName("~http".to_owned()),
            invites: Mutex::default(),
            seen: DashMap::new(),
            failures: Mutex::new(Failures::new()),
        }
    }

    pub(super) const fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// A token that opens the page once.
    pub(super) fn invite(&self) -> String {
        let token = random_text(32);
        let mut invites = locked(&self.invites);
        if invites.len() == INVITES_MAX {
            invites.pop_front();
        }
        invites.push_back(hash_of(&token));
        token
    }

    /// True: it was good, and is no more.
    fn redeem(&self, token: &str) -> bool {
        let hash = hash_of(token);
        let mut invites = locked(&self.invites);
        let found = invites.iter().position(|invite| bool::from(invite.ct_eq(&hash)));
        found.and_then(|place| invites.remove(place)).is_some()
    }

    /// A new login: what its cookie holds.
    async fn begin(&self) -> Result<String, StoreError> {
        let secret = random_text(32);
        let hash = hash_of(&secret);
        let until = unix_millis().saturating_add(i64::try_from(LASTS.as_millis()).unwrap_or(i64::MAX));
        let space = self.space.clone();
        self.journal
            .write(move |store| store.kv_put(&space, &key_of(&hash), until.to_string().as_bytes(), Some(until)))
            .await?;
        self.seen.insert(hash, until);
        Ok(secret)
    }

    async fn end(&self, headers: &HeaderMap) -> Result<(), StoreError> {
        let Some(hash) = self.given(headers) else { return Ok(()) };
        self.seen.remove(&hash);
        let space = self.space.clone();
        self.journal
            .write(move |store| store.kv_remove(&space, &key_of(&hash)))
            .await
    }

    /// The hash of the cookie that came with a request.
    fn given(&self, headers: &HeaderMap) -> Option<Hash> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie)
            .map(|(_, secret)| hash_of(secret))
    }

    /// Whether a request comes from somebody who is logged in.
    async fn admits(&self, headers: &HeaderMap) -> Result<bool, StoreError> {
        let Some(hash) = self.given(headers) else {
            return Ok(false);
        };
        let now = unix_millis();
        if let Some(until) = self.seen.get(&hash).map(|until| *until) {
            if until > now {
                return Ok(true);
            }
            self.seen.remove(&hash);
            return Ok(false);
        }
        let space = self.space.clone();
        let found = self
            .journal
            .read(move |store| store.kv_get(&space, &key_of(&hash), now))
            .await?;
        let until = found
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.parse().ok());
        let Some(until) = until.filter(|until| *until > now) else {
            return Ok(false);
        };
        self.seen.insert(hash, until);
        Ok(true)
    }

    fn cookie(&self, secret: &str, lasts: Duration, secure: bool) -> HeaderValue {
        let secure = if secure { "; Secure" } else { "" };
        let text = format!(
            "{}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
            self.cookie,
            lasts.as_secs()
        );
        HeaderValue::try_from(text).expect("a cookie of letters and digits is a header value")
    }

    /// Logs in and leads to the page.
    async fn welcome(&self, secure: bool) -> Response {
        match self.begin().await {
            Ok(secret) => {
                // A page that leads on, not a redirect: after a link in another page a browser would hold a strict
                // cookie back on the redirect.
                let mut response = html(StatusCode::OK, page::onward());
                response
                    .headers_mut()
                    .insert(header::SET_COOKIE, self.cookie(&secret, LASTS, secure));
                response
            }
            Err(error) => unavailable(&error),
        }
    }
}

fn unavailable(error: &StoreError) -> Response {
    tracing::warn!(%error, "a login could not be read or kept");
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "the login could not be kept; try again in a moment",
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct Front {
    token: Option<String>,
}

/// `/`: with a token the way in, else the bots, else the login page.
pub(super) async fn front(
    State(app): State<App>,
    method: Method,
    Query(front): Query<Front>,
    headers: HeaderMap,
) -> Response {
    let login = &app.0.login;
    let ahead = ["sec-purpose", "purpose", "x-moz"].iter().any(|name| {
        headers
            .get(*name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("prefetch"))
    });
    if front.token.is_some() && (ahead || method != Method::GET) {
        // A browser that only looks ahead must not use the token up.
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "prefetch",
            "this link is for opening, not for prefetching",
        );
    }
    if front.token.as_deref().is_some_and(|token| login.redeem(token)) {
        return login.welcome(false).await;
    }
    match login.admits(&headers).await {
        Ok(true) if front.token.is_some() => Redirect::to("/").into_response(),
        Ok(true) => page::bots(&app.0.bots.web_bots()),
        Ok(false) => {
            let notice = front
                .token
                .map(|_| "This link was used already, or the host has been started anew.");
            html(StatusCode::UNAUTHORIZED, page::login(login.has_password(), notice))
        }
        Err(error) => unavailable(&error),
    }
}

/// `POST /login` with the password, as a form.
pub(super) async fn enter(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let login = &app.0.login;
    let Some(password) = &login.password else {
        return refusal(
            StatusCode::NOT_FOUND,
            "no_password",
            "no password is configured; use the printed link",
        );
    };
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok());
    let secure = origin.is_some_and(|origin| origin.starts_with("https://"));
    let bytes = match body(request.into_body(), 4096).await {
        Ok(bytes) => bytes,
        Err(status) => return refusal(status, "body", "the form is too large or did not arrive"),
    };
    let form = url::form_urlencoded::parse(&bytes);
    let given = form
        .into_iter()
        .find(|(name, _)| name == "password")
        .map(|(_, value)| value.into_owned());
    {
        let mut failures = locked(&login.failures);
        if !failures.allows(peer) {
            drop(failures);
            let notice = Some("Too many wrong passwords. Try again in five minutes.");
            let mut response = html(StatusCode::TOO_MANY_REQUESTS, page::login(true, notice));
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(FAILURES_WITHIN.as_secs()));
            return response;
        }
        // Hashes are compared: they have one length, so time tells nothing.
        let right = hash_of(&given.unwrap_or_default()).ct_eq(&hash_of(password.reveal()));
        if !bool::from(right) {
            failures.count(peer);
            drop(failures);
            tracing::warn!(%peer, "a wrong password was given");
            return html(
                StatusCode::UNAUTHORIZED,
                page::login(true, Some("That is not the password.")),
            );
        }
    }
    login.welcome(secure).await
}

pub(super) async fn logout(State(app): State<App>, headers: HeaderMap) -> Response {
    let login = &app.0.login;
    if let Err(error) = login.end(&headers).await {
        return unavailable(&error);
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response
        .headers_mut()
        .insert(header::SET_COOKIE, login.cookie("", Duration::ZERO, false));
    response
}

/// Lets only those through who are logged in.
pub(super) async fn required(State(app): State<App>, request: Request, next: Next) -> Response {
    let login = &app.0.login;
    match login.admits(request.headers()).await {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            let accepts = request
                .headers()
                .get(header::ACCEPT)
                .and_then(|value| value.to_str().ok());
            if request.method() == Method::GET && accepts.is_some_and(|accepts| accepts.contains("text/html")) {
                return html(StatusCode::UNAUTHORIZED, page::login(login.has_password(), None));
            }
            refusal(StatusCode::UNAUTHORIZED, "login", "log in first")
        }
        Err(error) => unavailable(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_passwords_close_the_door_for_one_address_and_a_hundred_for_all() {
        let mut failures = Failures::new();
        let peer = |n: u8| IpAddr::from([10, 0, 0, n]);
        for _ in 0..FAILURES_MAX {
            assert!(failures.allows(peer(0)));
            failures.count(peer(0));
        }
        assert!(!failures.allows(peer(0)));
        assert!(failures.allows(peer(1)));
        for n in 1..20 {
            for _ in 0..FAILURES_MAX {
                failures.count(peer(n));
            }
        }
        assert!(!failures.allows(peer(200)));
        failures.since = Instant::now().checked_sub(FAILURES_WITHIN * 2).unwrap();
        assert!(failures.allows(peer(0)));
    }
}
