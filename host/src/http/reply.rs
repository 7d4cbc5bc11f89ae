//! Answers that several routes give, and how bodies are read.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::BODY_TIMEOUT;
use crate::transport::web::WebError;

/// A refusal in JSON: a word for programs and a sentence for people.
pub(super) fn refusal(status: StatusCode, word: &str, sentence: &str) -> Response {
    (status, Json(json!({ "error": word, "message": sentence }))).into_response()
}

pub(super) async fn nothing_here() -> Response {
    refusal(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

pub(super) fn no_bot() -> Response {
    refusal(StatusCode::NOT_FOUND, "no_bot", "there is no such bot here")
}

pub(super) fn html(status: StatusCode, text: String) -> Response {
    let mut response = (status, text).into_response();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The whole body, or why not: too large (413), or too slow or broken off (408).
pub(super) async fn body(body: Body, max_bytes: usize) -> Result<Bytes, StatusCode> {
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, max_bytes)).await;
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        // What `to_bytes` fails with is the limit, or else the connection, which then reads no answer.
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// A body in JSON. Its content type must say so: other pages cannot send that without asking first.
pub(super) async fn json_body<T: DeserializeOwned>(
    request: axum::extract::Request,
    max_bytes: usize,
) -> Result<T, Response> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let sentence = "the content type must be application/json";
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", sentence));
    }
    let bytes = body(request.into_body(), max_bytes)
        .await
        .map_err(|status| refusal(status, "body", "the body is too large or did not arrive"))?;
    serde_json::from_slice(&bytes).map_err(|_| {
        refusal(
            StatusCode::BAD_REQUEST,
            "malformed",
            "the body is not what this address takes",
        )
    })
}

pub(super) fn web_error(error: &WebError) -> Response {
    let (status, word) = match error {
        WebError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_message"),
        WebError::Stale(_) => (StatusCode::CONFLICT, "stale"),
        WebError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        WebError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        WebError::Forged => (StatusCode::FORBIDDEN, "refused"),
        WebError::Unavailable | WebError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(%error, "the web chat could not store something");
        let mut response = refusal(status, word, "it could not be stored; try again in a moment");
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    refusal(status, word, &error.to_string())
}
