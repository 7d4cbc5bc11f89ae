//! Webhooks: finds the route, reads the body as far as the route allows, has it verified, hands it over, and tells
//! the vendor what the bot says or the route's fallback.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::reply::{body, no_bot, nothing_here, refusal};
use crate::chat::{Answer, BotName, Headers};
use crate::transport::web::unix_millis;
use crate::transport::{Accepted, webhook};

/// Kept of the route's deadline for the way back.
const RESERVE: Duration = Duration::from_millis(100);

pub(super) async fn bare(State(app): State<App>, Path(bot): Path<String>, request: Request) -> Response {
    take(&app, &BotName(bot), "", request).await
}

pub(super) async fn named(
    State(app): State<App>,
    Path((bot, route)): Path<(String, String)>,
    request: Request,
) -> Response {
    take(&app, &BotName(bot), &route, request).await
}

async fn take(app: &App, bot: &BotName, name: &str, request: Request) -> Response {
    let begun = Instant::now();
    let Some(target) = app.0.bots.hook(bot) else {
        return no_bot();
    };
    let method = request.method().as_str().to_owned();
    let same_name: Vec<_> = target.routes.iter().filter(|route| route.name == name).collect();
    if same_name.is_empty() {
        return nothing_here().await;
    }
    let takes = |wanted: &&&crate::manifest::Route| wanted.methods.iter().any(|one| one.eq_ignore_ascii_case(&method));
    let Some(route) = same_name.iter().find(takes) else {
        let allowed: Vec<_> = same_name
            .iter()
            .flat_map(|route| route.methods.iter().cloned())
            .collect();
        let mut response = refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "this route takes other methods",
        );
        if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
            response.headers_mut().insert(header::ALLOW, value);
        }
        return response;
    };

    let (head, content) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let headers: Headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let bytes = match body(content, route.max_body_bytes as usize).await {
        Ok(bytes) => bytes,
        Err(status) => {
            tracing::warn!(%bot, route = name, status = status.as_u16(), "a webhook's body was refused");
            return refusal(status, "body", "the body is too large or did not arrive");
        }
    };
    let base = app.0.public_url.clone().unwrap_or_else(|| {
        let host = head
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        format!("http://{host}")
    });
    let url = format!("{base}{}", head.uri.path_and_query().map_or("/", |part| part.as_str()));
    let call = webhook::Call {
        method: &method,
        url: &url,
        query: &query,
        headers: &headers,
        body: &bytes,
        received: unix_millis(),
    };
    let event = match webhook::verify(route, &target.secrets, &call) {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(%bot, route = name, %error, "a webhook was refused");
            return refusal(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the call could not be verified",
            );
        }
    };
    let within = route.deadline.saturating_sub(begun.elapsed()).saturating_sub(RESERVE);
    match target.inlet.accept(event, within).await {
        Accepted::Stored(answer) => answer_of(&answer.unwrap_or_else(|| route.fallback.clone())),
        Accepted::Forged => {
            tracing::warn!(%bot, route = name, "the adapter says that a webhook is forged");
            refusal(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the call could not be verified",
            )
        }
        Accepted::Unavailable => {
            let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "send it again later");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
    }
}

/// An adapter's answer. It is not trusted, and this address is also the web chat's: it may set no cookie, load no
/// script and run nothing, whatever content it has.
fn answer_of(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(answer.body.clone())).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in &answer.headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            continue;
        };
        if passes(&name) {
            headers.append(name, value);
        }
    }
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
    );
    response
}

fn passes(name: &HeaderName) -> bool {
    let plain = [header::CONTENT_TYPE, header::RETRY_AFTER, header::WWW_AUTHENTICATE];
    let guarding = [
        header::X_FRAME_OPTIONS,
        header::X_CONTENT_TYPE_OPTIONS,
        header::X_XSS_PROTECTION,
    ];
    plain.contains(name) || name.as_str().starts_with("x-") && !guarding.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapters_answer_sets_no_cookie_and_runs_nothing() {
        let answer = Answer {
            status: 200,
            headers: vec![
                ("Content-Type".into(), "text/html".into()),
                ("Set-Cookie".into(), "botyard-1=evil".into()),
                ("Content-Security-Policy".into(), "script-src *".into()),
                ("X-Slack-No-Retry".into(), "1".into()),
                ("bad name".into(), "x".into()),
            ],
            body: b"<script src=/x></script>".to_vec(),
        };
        let response = answer_of(&answer);
        let headers: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(
            headers,
            [
                "content-type: text/html",
                "x-slack-no-retry: 1",
                "content-security-policy: sandbox; default-src 'none'; frame-ancestors 'none'",
            ]
        );
    }
}
