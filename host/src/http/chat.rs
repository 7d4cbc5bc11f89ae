//! What the page asks of the web chat: who is there, what was said and is being said, and what the person says.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use super::reply::{json_body, no_bot, refusal, web_error};
use super::{App, WebTarget, files};
use crate::chat::{Answer, BotName};
use crate::transport::web::{Pressing, Saying, Stream, Update};

/// What a person may send at once: a text, or a form.
const SAID_MAX_BYTES: usize = 256 * 1024;
/// Between two signs of life in a stream where nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) fn target(app: &App, bot: String) -> Option<WebTarget> {
    app.0.bots.web(&BotName(bot))
}

/// The bot, its commands, and the other bots of the page.
pub(super) async fn about(State(app): State<App>, Path(bot): Path<String>) -> Response {
    match target(&app, bot) {
        Some(target) => Json(json!({
            "bot": target.chat.bot(),
            "title": target.title,
            "commands": target.chat.commands(),
            "bots": app.0.bots.web_bots(),
            "password": app.0.login.has_password(),
            "files_max_bytes": target.files_max_bytes,
            "files_most": target.files_most,
        }))
        .into_response(),
        None => no_bot(),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct From {
    channel: Option<String>,
    /// Where to go on from; a browser that reconnects by itself says it in `Last-Event-ID`.
    after: Option<i64>,
}

pub(super) async fn events(
    State(app): State<App>,
    Path(bot): Path<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Response {
    let Some(target) = target(&app, bot) else {
        return no_bot();
    };
    let Ok(permit) = app.0.streams.clone().try_acquire_owned() else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "streams", "too many pages are open");
    };
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    let after = last.or(from.after).unwrap_or(0);
    let updates = target.chat.stream(from.channel, after);
    let feed = Feed {
        updates,
        batch: Vec::new().into_iter(),
        lines: Lines::new(app.0.bots.clone()),
        stop: app.0.stop.clone(),
        _permit: permit,
    };
    let events = stream::unfold(feed, |mut feed| async move {
        let update = feed.next().await?;
        Some((Ok::<_, Infallible>(event_of(update)), feed))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("beat"))
        .into_response()
}

/// What one page reads.
struct Feed {
    updates: Stream,
    batch: std::vec::IntoIter<Update>,
    lines: Lines,
    stop: CancellationToken,
    /// Lives as long as the stream.
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// None: the server stops, or the store cannot be read; the page comes again.
    async fn next(&mut self) -> Option<Update> {
        loop {
            if let Some(update) = self.batch.next() {
                return Some(update);
            }
            tokio::select! {
                biased;
                // The end of the server comes first: it waits for this stream.
                () = self.stop.cancelled() => return None,
                update = self.lines.next() => return Some(update),
                batch = self.updates.next() => match batch {
                    Ok(batch) => self.batch = batch?.into_iter(),
                    Err(error) => {
                        tracing::warn!(%error, "an event stream could not go on");
                        return None;
                    }
                },
            }
        }
    }
}

fn event_of(update: Update) -> Event {
    let event = Event::default().event(update.name).data(update.data);
    match update.seq {
        Some(seq) => event.id(seq.to_string()),
        None => event,
    }
}

pub(super) async fn say(
    State(app): State<App>,
    Path((bot, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let target = target(&app, bot).ok_or_else(no_bot)?;
        let mut saying: Saying = json_body(request, SAID_MAX_BYTES).await?;
        saying.files = files::known(&target, saying.files).await?;
        let said = target.chat.say(&*target.inlet, &channel, saying).await;
        said.map(word_of).map_err(|error| web_error(&error))
    };
    done.await.unwrap_or_else(|refused: Response| refused)
}

pub(super) async fn press(
    State(app): State<App>,
    Path((bot, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let target = target(&app, bot).ok_or_else(no_bot)?;
        let pressing: Pressing = json_body(request, SAID_MAX_BYTES).await?;
        let pressed = target.chat.press(&*target.inlet, &channel, &pressing).await;
        pressed.map(word_of).map_err(|error| web_error(&error))
    };
    done.await.unwrap_or_else(|refused: Response| refused)
}

#[derive(Debug, Deserialize)]
struct Stopping {
    id: String,
}

pub(super) async fn stop(
    State(app): State<App>,
    Path((bot, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let target = target(&app, bot).ok_or_else(no_bot)?;
        let stopping: Stopping = json_body(request, 1024).await?;
        let stopped = target.chat.stop(&*target.inlet, &channel, &stopping.id).await;
        stopped.map(word_of).map_err(|error| web_error(&error))
    };
    done.await.unwrap_or_else(|refused: Response| refused)
}

/// The adapter's word, as far as it is JSON: the page reads nothing else.
fn word_of(answer: Option<Answer>) -> Response {
    let word = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
    Json(word.unwrap_or_else(|| json!({}))).into_response()
}
