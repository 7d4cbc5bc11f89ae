//! The callback that an interaction must have within three seconds: what the adapter says, or by then a default of ours,
//! so that nobody reads "the application did not respond". It is given beside the events, never in their line.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::{Gateway, code};
use crate::chat::Answer;
use crate::egress::{Body, Request};

/// The adapter's word is waited for so long; of Discord's three seconds the rest is for the way there.
/// docs.discord.com/developers/interactions/receiving-and-responding
pub(super) const PATIENCE: Duration = Duration::from_millis(2_000);
/// For the call itself.
const CALL: Duration = Duration::from_millis(2_500);

/// Where an interaction is answered, and what is answered when nobody says anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    id: String,
    token: String,
    pub(super) default: Value,
}

impl Due {
    /// None: it is no interaction that can be answered.
    pub(super) fn of(data: &Value) -> Option<Self> {
        let text = |name: &str| {
            let text = data.get(name).and_then(Value::as_str)?;
            // They go into a path.
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '=' | '~');
            (!text.is_empty() && text.chars().all(plain)).then(|| text.to_owned())
        };
        let default = match data.get("type").and_then(Value::as_u64)? {
            3 => json!({ "type": 6 }),
            4 => json!({ "type": 8, "data": { "choices": [] } }),
            5 if data.get("message").is_some() => json!({ "type": 6 }),
            2 if asks(data) => json!({ "type": 5 }),
            // What a command says may be for one person alone.
            2 | 5 => json!({ "type": 5, "data": { "flags": 64 } }),
            _ => return None,
        };
        Some(Self {
            id: text("id")?,
            token: text("token")?,
            default,
        })
    }
}

/// A question, which is answered for all: the adapter's command of that name, and the menu of a message (type 3).
fn asks(data: &Value) -> bool {
    let command = &data["data"];
    command["type"] == 3 || command["name"] == "ask"
}

/// Gives the word: the adapter's if it comes by `until`, else the default. An event that could not be stored is
/// answered too: Discord does not send it again after a resume in time.
pub(super) async fn give(gateway: Arc<Gateway>, due: Due, told: oneshot::Receiver<Option<Answer>>, until: Instant) {
    let answer = timeout_at(until, told).await.ok().and_then(Result::ok).flatten();
    let late = answer.is_none();
    let body = answer.map_or_else(|| due.default.to_string().into_bytes(), |answer| answer.body);
    let request = Request {
        method: "POST".to_owned(),
        url: format!("/interactions/{}/{}/callback", due.id, due.token),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: Body::Bytes(body),
        secrets: Vec::new(),
        timeout: Some(CALL),
        // A second one is refused with 40060, and does no harm.
        repeatable: true,
        buckets: Vec::new(),
        wait: Duration::ZERO,
        max_bytes: None,
    };
    let bot = &gateway.managed.bot;
    match gateway.managed.outlet.send(request).await {
        Ok(response) if (200..300).contains(&response.status) => debug!(%bot, late, "an interaction was answered"),
        Ok(response) => {
            let code = code(&response.body);
            // 40060: it was answered already, after a resume.
            if code != Some(40060) {
                warn!(%bot, status = response.status, ?code, late, "discord did not take the answer to an interaction");
            }
        }
        Err(error) => warn!(%bot, %error, late, "an interaction could not be answered"),
    }
}
