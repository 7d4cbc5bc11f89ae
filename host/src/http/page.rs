//! The page itself: files that are part of the binary, and the few lines that the host writes into them.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::App;
use super::reply::{html, no_bot, nothing_here};
use crate::chat::BotName;

const INDEX: &str = include_str!("page/index.html");
const PLAIN: &str = include_str!("page/plain.html");
const ASSETS: [(&str, &str, &str); 5] = [
    ("app.css", "text/css; charset=utf-8", include_str!("page/app.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
    (
        "view.js",
        "text/javascript; charset=utf-8",
        include_str!("page/view.js"),
    ),
    (
        "markdown.js",
        "text/javascript; charset=utf-8",
        include_str!("page/markdown.js"),
    ),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// `/page/FILE`: holds nothing secret, so the login page can use it.
pub(super) async fn asset(Path(file): Path<String>) -> Response {
    let Some((_, kind, text)) = ASSETS.iter().find(|(name, _, _)| *name == file) else {
        return nothing_here().await;
    };
    let mut response = text.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// `/chat/BOT/`.
pub(super) async fn chat(State(app): State<App>, Path(bot): Path<String>) -> Response {
    match app.0.bots.web(&BotName(bot)) {
        Some(_) => html(StatusCode::OK, INDEX.to_owned()),
        None => no_bot(),
    }
}

/// The only bot at once, or all of them to choose from.
pub(super) fn bots(names: &[BotName]) -> Response {
    if let [only] = names {
        return Redirect::to(&format!("/chat/{only}/")).into_response();
    }
    let list: String = names
        .iter()
        .map(|name| format!("<li><a href=\"/chat/{0}/\">{0}</a></li>", escaped(name.as_str())))
        .collect();
    let text = if names.is_empty() {
        "<h1>No bot here yet</h1><p>Add a <code>[[bot]]</code> with <code>adapter = \"web\"</code> to bots.toml.</p>"
            .to_owned()
    } else {
        format!("<h1>Who would you like to talk to?</h1><ul class=\"bots\">{list}</ul>")
    };
    html(StatusCode::OK, plain("", &text))
}

/// How to come in.
pub(super) fn login(password: bool, notice: Option<&str>) -> String {
    let notice = notice.map(|text| format!("<p class=\"plain-notice\" role=\"alert\">{}</p>", escaped(text)));
    let way = if password {
        "<form method=\"post\" action=\"/login\"><label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required autofocus>\
         <button class=\"button primary\">Log in</button></form>"
    } else {
        "<p>Open the link that <code>botyard run</code> printed in your terminal. It works once; a new start prints \
         a new one.</p>"
    };
    plain("", &format!("<h1>Log in</h1>{}{way}", notice.unwrap_or_default()))
}

/// Leads to `/` from this page, so that the browser counts it as our own step.
pub(super) fn onward() -> String {
    plain(
        "<meta http-equiv=\"refresh\" content=\"0;url=/\">",
        "<h1>Welcome</h1><p><a href=\"/\">Go on to the chat</a></p>",
    )
}

fn plain(head: &str, body: &str) -> String {
    PLAIN.replace("<!--head-->", head).replace("<!--body-->", body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
