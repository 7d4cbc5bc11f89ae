//! A vendor that answers at once and notes when answers came, and the sender of its signed events.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::response::IntoResponse;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tokio::sync::Notify;

pub(crate) const SIGNING: &str = "bench-signing-secret";

/// Calls that are looked at once more.
const SHOWN_KEPT: usize = 256;

/// Nanoseconds of the wall clock: comparable between processes.
pub(crate) fn now_nanos() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos()
}

#[derive(Debug, Default)]
struct Seen {
    /// When the answer with this mark first came.
    answers: Mutex<HashMap<String, u128>>,
    /// The newest calls that show something: when, and what.
    shown: Mutex<VecDeque<(u128, String)>>,
    changed: Notify,
    calls: std::sync::atomic::AtomicU64,
}

/// The vendor; ends with the value.
#[derive(Debug)]
pub(crate) struct Vendor {
    seen: Arc<Seen>,
    pub(crate) api: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(seen): State<Arc<Seen>>, uri: Uri, body: Bytes) -> impl IntoResponse {
    let at = now_nanos();
    let call = seen.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    if uri.path().contains("chat.") {
        let text = String::from_utf8_lossy(&body);
        let mut shown = seen.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() >= SHOWN_KEPT {
            shown.pop_front();
        }
        shown.push_back((at, text.clone().into_owned()));
        drop(shown);
        seen.changed.notify_waiters();
        // Only a whole answer counts, and only the final one: `over` ends it.
        if let Some(mark) = text
            .split("answer ")
            .nth(1)
            .and_then(|rest| rest.split_once(" over"))
            .map(|(mark, _)| mark.to_owned())
            && !text.contains("\"Stop\"")
        {
            seen.answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(mark)
                .or_insert(at);
            seen.changed.notify_waiters();
        }
    }
    let body = json!({"ok": true, "ts": format!("1700000000.{call:06}"), "channel": "D1", "user_id": "UBOT", "bot_id": "BBOT",
        "user": "bot", "team": "t", "team_id": "T1", "message": {"ts": format!("1700000000.{call:06}")}, "messages": []});
    ([("content-type", "application/json")], body.to_string())
}

impl Vendor {
    pub(crate) async fn start() -> Result<Self> {
        let seen = Arc::new(Seen::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let api = format!("http://{}/api/", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { seen, api, serving })
    }

    /// When the final answer with this mark came; waits for it.
    pub(crate) async fn answered(&self, mark: &str, within: Duration) -> Result<u128> {
        let wait = async {
            loop {
                let changed = self.seen.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(at) = self
                    .seen
                    .answers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(mark)
                {
                    return *at;
                }
                changed.await;
            }
        };
        tokio::time::timeout(within, wait)
            .await
            .with_context(|| format!("no answer to {mark}"))
    }

    /// When something with these words in it was first shown after that moment; waits for it.
    pub(crate) async fn shown_after(&self, after: u128, words: &str, within: Duration) -> Result<u128> {
        let wait = async {
            loop {
                let changed = self.seen.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let found = {
                    let shown = self.seen.shown.lock().unwrap_or_else(PoisonError::into_inner);
                    shown
                        .iter()
                        .find(|(at, text)| *at > after && text.contains(words))
                        .map(|(at, _)| *at)
                };
                if let Some(at) = found {
                    return at;
                }
                changed.await;
            }
        };
        tokio::time::timeout(within, wait)
            .await
            .with_context(|| format!("nothing with `{words}` was shown"))
    }

    /// Says these words alone, as `send`.
    pub(crate) async fn command(
        &self,
        client: &reqwest::Client,
        hook: &str,
        user: usize,
        words: &str,
    ) -> Result<(u128, u128)> {
        let serial = self.seen.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        say(client, hook, user, &format!("command-{serial}"), words).await
    }
}

/// Sends one message of `user` as the vendor does; when it began to be sent, and when it was acknowledged.
pub(crate) async fn send(client: &reqwest::Client, hook: &str, user: usize, mark: &str) -> Result<(u128, u128)> {
    say(client, hook, user, mark, &format!("please answer {mark}")).await
}

async fn say(client: &reqwest::Client, hook: &str, user: usize, mark: &str, words: &str) -> Result<(u128, u128)> {
    let stamp = now_nanos() / 1_000_000_000;
    let ts = format!("{stamp}.{:06}", now_nanos() % 1_000_000);
    let body = json!({"type": "event_callback", "team_id": "T1", "event_id": format!("Ev{mark}"), "event_time": stamp,
        "event": {"type": "message", "channel_type": "im", "channel": format!("D{user}"), "user": format!("U{user}"),
            "text": words, "ts": format!("{ts}{user}"), "event_ts": ts, "client_msg_id": mark, "team": "T1"}})
    .to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING.as_bytes())?;
    mac.update(format!("v0:{stamp}:{body}").as_bytes());
    let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
    let request = client
        .post(hook)
        .header("content-type", "application/json")
        .header("x-slack-request-timestamp", stamp.to_string())
        .header("x-slack-signature", signature)
        .body(body);
    let sent = now_nanos();
    let response = request.send().await?;
    anyhow::ensure!(response.status() == 200, "the host answered {}", response.status());
    response.bytes().await?;
    Ok((sent, now_nanos()))
}
