//! Files of the web chat: what a person sends, and what the agent gives. Both lie among the bot's own files; whoever is
//! logged in and knows a file's id may have it, as something to save and never as a page.

use std::path::PathBuf;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::chat::target;
use super::reply::{no_bot, refusal};
use super::{App, BODY_TIMEOUT, WebTarget};
use crate::chat::media_type;
use crate::plugin::files::plain_name;
use crate::transport::web::SentFile;

/// What is read from a file at once.
const PIECE: usize = 64 * 1024;
/// What a browser may show by itself, by name; anything else is bytes to it.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// Should a browser show one after all: nothing of it runs, and it is nobody's origin.
const POLICY: &str = "default-src 'none'; sandbox";

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    name: String,
}

/// A file that is not whole goes away again, also when whoever sends it is gone.
struct Partial {
    path: PathBuf,
    whole: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A person's file, as bare bytes: other pages cannot send those without asking first.
pub(super) async fn take(
    State(app): State<App>,
    Path(bot): Path<String>,
    Query(named): Query<Named>,
    request: Request,
) -> Response {
    let done = async {
        let target = target(&app, bot).ok_or_else(no_bot)?;
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if text(header::CONTENT_TYPE) != Some("application/octet-stream") {
            let sentence = "the content type must be application/octet-stream";
            return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_bytes", sentence));
        }
        let told = text(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        if told.is_some_and(|bytes| bytes > target.files_max_bytes) {
            return Err(too_large());
        }
        let name = plain_name(&named.name);
        let (id, size_bytes) = keep(&target, request.into_body()).await?;
        let file = SentFile {
            id,
            media_type: media_type(&name).to_owned(),
            name,
            size_bytes,
        };
        Ok(Json(json!(file)).into_response())
    };
    done.await.unwrap_or_else(|refused: Response| refused)
}

async fn keep(target: &WebTarget, body: Body) -> Result<(String, u32), Response> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "a file of the web chat could not be kept");
        let sentence = "the file could not be stored; try again in a moment";
        refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", sentence)
    };
    let (id, path) = target.files.place().await.map_err(|error| failed(&error))?;
    let mut file = File::create(&path).await.map_err(|error| failed(&error))?;
    let mut partial = Partial { path, whole: false };
    let mut pieces = body.into_data_stream();
    let mut size = 0u64;
    loop {
        let piece = match tokio::time::timeout(BODY_TIMEOUT, pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => {
                let sentence = "the file did not arrive whole";
                return Err(refusal(StatusCode::REQUEST_TIMEOUT, "body", sentence));
            }
        };
        size += piece.len() as u64;
        if size > target.files_max_bytes {
            return Err(too_large());
        }
        file.write_all(&piece).await.map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))?;
    let size = u32::try_from(size).map_err(|_| too_large())?;
    partial.whole = true;
    Ok((id, size))
}

fn too_large() -> Response {
    refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the file is too large")
}

/// What was sent, as the host has it: a page says no more than which files, and what they are called.
pub(super) async fn known(target: &WebTarget, said: Vec<SentFile>) -> Result<Vec<SentFile>, Response> {
    if said.len() > target.files_most {
        let sentence = format!("a message may bring {} files", target.files_most);
        return Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, "files", &sentence));
    }
    let mut files = Vec::with_capacity(said.len());
    for file in said {
        let gone = || {
            let sentence = "a file is not there any more: attach it again";
            refusal(StatusCode::UNPROCESSABLE_ENTITY, "files", sentence)
        };
        let path = target.files.path(&file.id).map_err(|_| gone())?;
        let size = tokio::fs::metadata(&path).await.map_err(|_| gone())?.len();
        let name = plain_name(&file.name);
        files.push(SentFile {
            id: file.id,
            media_type: media_type(&name).to_owned(),
            name,
            size_bytes: u32::try_from(size).unwrap_or(u32::MAX),
        });
    }
    Ok(files)
}

/// A file to save.
pub(super) async fn give(
    State(app): State<App>,
    Path((bot, id)): Path<(String, String)>,
    Query(named): Query<Named>,
) -> Response {
    let Some(target) = target(&app, bot) else {
        return no_bot();
    };
    let opened = async {
        let file = File::open(target.files.path(&id).ok()?).await.ok()?;
        let size = file.metadata().await.ok()?.len();
        Some((file, size))
    };
    let Some((file, size)) = opened.await else {
        return refusal(StatusCode::NOT_FOUND, "no_file", "this file is not kept any more");
    };
    let pieces = stream::unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some((Ok(piece), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    let name = plain_name(&named.name);
    let kind = PICTURES.into_iter().find(|kind| *kind == media_type(&name));
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static(kind.unwrap_or("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let saved = format!("attachment; filename*=UTF-8''{}", encoded(&name));
    if let Ok(saved) = HeaderValue::from_str(&saved) {
        headers.insert(header::CONTENT_DISPOSITION, saved);
    }
    response
}

/// RFC 8187, for a header's parameter.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
