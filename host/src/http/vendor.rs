//! The web chat's vendor API: what the adapter `web` posts to, with the bearer token of this start.

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::App;
use super::reply::{json_body, refusal, web_error};
use crate::chat::BotName;
use crate::transport::web::{WebChat, WebCommand};

/// A whole view with its steps' outputs.
const VIEW_MAX_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Deserialize)]
struct NewMessage {
    channel: String,
    /// The same key again is the same message.
    key: String,
    revision: u32,
    body: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct NextMessage {
    revision: u32,
    body: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Commands {
    commands: Vec<WebCommand>,
}

/// The chat, for who has its token. An unknown bot and a wrong token look the same.
fn chat_for(app: &App, bot: String, request: &Request) -> Option<WebChat> {
    if request.headers().contains_key(header::ORIGIN) {
        // A page has no business here, not even ours.
        return None;
    }
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")?;
    let chat = app.0.bots.web(&BotName(bot))?.chat;
    chat.authorized(bearer).then_some(chat)
}

fn refused() -> Response {
    refusal(StatusCode::UNAUTHORIZED, "unauthorized", "the bearer token is wrong")
}

pub(super) async fn post(State(app): State<App>, Path(bot): Path<String>, request: Request) -> Response {
    let done = async {
        let chat = chat_for(&app, bot, &request).ok_or_else(refused)?;
        let new: NewMessage = json_body(request, VIEW_MAX_BYTES).await?;
        let (id, fresh) = chat
            .post(&new.channel, &new.key, new.revision, new.body)
            .await
            .map_err(|error| web_error(&error))?;
        Ok(axum::Json(json!({ "id": id, "fresh": fresh })).into_response())
    };
    done.await.unwrap_or_else(|answer: Response| answer)
}

pub(super) async fn update(
    State(app): State<App>,
    Path((bot, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let chat = chat_for(&app, bot, &request).ok_or_else(refused)?;
        let next: NextMessage = json_body(request, VIEW_MAX_BYTES).await?;
        chat.update(&id, next.revision, next.body)
            .await
            .map_err(|error| web_error(&error))?;
        Ok(axum::Json(json!({})).into_response())
    };
    done.await.unwrap_or_else(|answer: Response| answer)
}

pub(super) async fn commands(State(app): State<App>, Path(bot): Path<String>, request: Request) -> Response {
    let done = async {
        let chat = chat_for(&app, bot, &request).ok_or_else(refused)?;
        let told: Commands = json_body(request, 64 * 1024).await?;
        chat.set_commands(told.commands);
        Ok(axum::Json(json!({})).into_response())
    };
    done.await.unwrap_or_else(|answer: Response| answer)
}
