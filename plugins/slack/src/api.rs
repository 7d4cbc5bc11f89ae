//! Slack's Web API as typed calls, and its errors by what can be done about them. Slack answers most errors with 200
//! and `ok: false`; names are from docs.slack.dev/reference/methods (copies in slack-ruby/slack-api-ref, 2026-08).

use botyard_sdk::http::{self, header};
use botyard_sdk::json::str_at;
use botyard_sdk::manifest::{Placement, Slot};
use botyard_sdk::raw_http::{Body, Downloaded, Request, Response};
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::{Error, Headers};

mod stream;

/// The host, as far as this adapter needs it; tests put a fake in its place.
pub trait Wire {
    /// # Errors
    /// No answer came.
    fn send(&self, request: &Request) -> Result<Response, Error>;
    /// # Errors
    /// No answer came.
    fn download(&self, request: &Request, name: &str) -> Result<Downloaded, Error>;
    /// On disk when it comes back.
    ///
    /// # Errors
    /// The host could not store it.
    fn save(&self, memory: &[u8]) -> Result<(), Error>;
    /// # Errors
    /// The host could not store it.
    fn posted(&self, ts: &str) -> Result<(), Error>;
    /// Seconds since 1970.
    fn now(&self) -> u32;
    /// Whether this was kept, and not for too long.
    fn is_kept(&self, key: &str) -> bool;
    /// Remembers something of the workspace for so many seconds; best effort.
    fn keep(&self, key: &str, seconds: u32);
    /// The bot's own user id.
    fn me(&self) -> Option<String>;
    /// The operator's choice.
    fn progress(&self) -> Progress;
}

/// How a running turn is shown in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// As a stream where Slack offers its own stop control; else by edits, which carry a button.
    Auto,
    /// As a stream wherever one is possible.
    Stream,
    Edit,
}

/// A call that did not do what it should.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Slack's own name, if Slack answered.
    pub name: Option<String>,
    /// It may have been done.
    pub unclear: bool,
    pub error: Error,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl Failure {
    fn none_came(error: Error) -> Self {
        Self {
            name: None,
            unclear: matches!(error, Error::Ambiguous(_)),
            error,
        }
    }

    pub fn is(&self, names: &[&str]) -> bool {
        self.name.as_deref().is_some_and(|name| names.contains(&name))
    }
}

/// What a message shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// For notifications and screen readers, escaped.
    pub text: String,
    pub blocks: Vec<Value>,
}

/// Where messages go.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub channel: &'a str,
    pub thread: Option<&'a str>,
}

#[derive(Debug)]
pub struct Api<W> {
    pub wire: W,
}

/// The `event_type` of our messages' metadata.
const METADATA: &str = "botyard";

/// Pages read at most when a message is looked for.
const PAGES: usize = 5;

impl<W: Wire> Api<W> {
    /// `chat.postMessage`. `id` stands in the message's metadata, so that it can be found again.
    ///
    /// # Errors
    /// With `unclear` when it may have been posted.
    pub fn post(&self, place: Place<'_>, shown: &Shown, id: &str) -> Result<String, Failure> {
        let mut body = message(place, shown);
        body["metadata"] = json!({ "event_type": METADATA, "event_payload": { "id": id } });
        let answer = self.call("chat.postMessage", &body, &[format!("post:{}", place.channel)], false)?;
        str_at(&answer, "/ts").map(str::to_owned).ok_or_else(|| Failure {
            name: None,
            unclear: true,
            error: Error::Unavailable("slack named no `ts` for what was posted".into()),
        })
    }

    /// `chat.postEphemeral`: only `user` sees it, until they reload. It cannot be changed or found again.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn post_ephemeral(&self, place: Place<'_>, user: &str, shown: &Shown) -> Result<(), Failure> {
        let mut body = message(place, shown);
        body["user"] = user.into();
        self.call("chat.postEphemeral", &body, &["ephemeral".into()], false)
            .map(|_| ())
    }

    /// `chat.update`: the same however often it is sent.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn update(&self, channel: &str, ts: &str, shown: &Shown) -> Result<(), Failure> {
        let body = json!({ "channel": channel, "ts": ts, "text": shown.text, "blocks": shown.blocks });
        self.call("chat.update", &body, &["update".into()], true).map(|_| ())
    }

    /// `chat.delete`; that it is gone already is fine.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn delete(&self, channel: &str, ts: &str) -> Result<(), Failure> {
        match self.call(
            "chat.delete",
            &json!({ "channel": channel, "ts": ts }),
            &["delete".into()],
            true,
        ) {
            Err(failure) if failure.is(&["message_not_found"]) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// The message of ours that carries `id`, among those since `oldest`.
    ///
    /// # Errors
    /// As the vendor's error says; without the right to read, nobody can know.
    pub fn find(&self, place: Place<'_>, id: &str, oldest: u32) -> Result<Option<String>, Failure> {
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let oldest = format!("{oldest}.000000");
            let mut query = vec![
                ("oldest", oldest.as_str()),
                ("limit", "100"),
                ("include_all_metadata", "true"),
            ];
            if !cursor.is_empty() {
                query.push(("cursor", &cursor));
            }
            let page = self.messages(place, &query)?;
            let ours = page
                .get("messages")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .find(|message| {
                    str_at(message, "/metadata/event_type") == Some(METADATA)
                        && str_at(message, "/metadata/event_payload/id") == Some(id)
                });
            if let Some(ts) = ours.and_then(|message| str_at(message, "/ts")) {
                return Ok(Some(ts.to_owned()));
            }
            match str_at(&page, "/response_metadata/next_cursor") {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        Ok(None)
    }

    /// A page of a thread, or of a channel's own messages, in Slack's order.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn messages(&self, place: Place<'_>, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut all = vec![("channel", place.channel)];
        let method = match place.thread {
            Some(thread) => {
                all.push(("ts", thread));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        all.extend_from_slice(query);
        self.get(method, &all).map(|(answer, _)| answer)
    }

    /// `conversations.open`: the direct channel of a person and the bot. Needs the scope `im:write`.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn direct_channel(&self, user: &str) -> Result<String, Failure> {
        let answer = self.call("conversations.open", &json!({ "users": user }), &[], true)?;
        str_at(&answer, "/channel/id")
            .map(str::to_owned)
            .ok_or_else(|| Failure {
                name: None,
                unclear: false,
                error: Error::Unavailable("slack named no channel".into()),
            })
    }

    /// `views.open`, within three seconds of the press.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn open_view(&self, trigger: &str, view: &Value) -> Result<(), Failure> {
        self.call(
            "views.open",
            &json!({ "trigger_id": trigger, "view": view }),
            &[],
            false,
        )
        .map(|_| ())
    }

    /// `auth.test`, with the header that tells the token's scopes.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn auth_test(&self) -> Result<(Value, Headers), Failure> {
        self.get("auth.test", &[])
    }

    /// `apps.connections.open`, with the app's token.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn open_connection(&self) -> Result<(), Failure> {
        let mut request = request("POST", "/apps.connections.open", Body::Bytes(b"{}".to_vec()), &[], true);
        request.secrets[0].secret = "app_token".into();
        self.answer(&request).map(|_| ())
    }

    /// `users.info`.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn user(&self, id: &str) -> Result<Value, Failure> {
        self.get("users.info", &[("user", id), ("include_locale", "true")])
            .map(|(answer, _)| answer)
    }

    /// `files.info`.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn file(&self, id: &str) -> Result<Value, Failure> {
        self.get("files.info", &[("file", id)]).map(|(answer, _)| answer)
    }

    /// A file of the vendor's into the host's keeping.
    ///
    /// # Errors
    /// As the vendor's answer says.
    pub fn download(&self, url: &str, name: &str) -> Result<botyard_sdk::types::FileRef, Error> {
        match self.wire.download(&request("GET", url, Body::Empty, &[], true), name)? {
            Downloaded::File(file) => Ok(file),
            Downloaded::Refused(response) => Err(http::error_of(&response)),
        }
    }

    /// An ephemeral word by a press's `response_url`. Best effort: the view tells the same.
    pub fn whisper(&self, response_url: &str, text: &str) {
        let body = json!({ "response_type": "ephemeral", "replace_original": false, "text": text });
        let mut request = request(
            "POST",
            response_url,
            Body::Bytes(body.to_string().into_bytes()),
            &[],
            false,
        );
        // The URL is the credential, and the token is not its business.
        request.secrets.clear();
        request.timeout_ms = Some(1500);
        request.wait_ms = 0;
        drop(self.wire.send(&request));
    }

    /// One step of an upload: the bytes of a host's file to the URL that Slack gave.
    ///
    /// # Errors
    /// As the vendor's answer says.
    pub fn upload(&self, url: &str, file: &str) -> Result<(), Error> {
        let mut request = request("POST", url, Body::File(file.to_owned()), &[], true);
        request.secrets.clear();
        request.headers = vec![("Content-Type".into(), "application/octet-stream".into())];
        let response = self.wire.send(&request)?;
        if response.status == 200 {
            Ok(())
        } else {
            Err(http::error_of(&response))
        }
    }

    /// `files.getUploadURLExternal`: where to, and the file's id.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn upload_url(&self, name: &str, length: u32) -> Result<(String, String), Failure> {
        let length = length.to_string();
        let (answer, _) = self.get("files.getUploadURLExternal", &[("filename", name), ("length", &length)])?;
        match (str_at(&answer, "/upload_url"), str_at(&answer, "/file_id")) {
            (Some(url), Some(id)) => Ok((url.to_owned(), id.to_owned())),
            _ => Err(Failure::none_came(Error::Unavailable(
                "slack gave no place for an upload".into(),
            ))),
        }
    }

    /// `files.completeUploadExternal`: the file appears in the chat.
    ///
    /// # Errors
    /// With `unclear` when it may have been done.
    pub fn complete_upload(&self, place: Place<'_>, id: &str, title: &str) -> Result<(), Failure> {
        let mut body = json!({ "files": [{ "id": id, "title": title }], "channel_id": place.channel });
        if let Some(thread) = place.thread {
            body["thread_ts"] = thread.into();
        }
        self.call(
            "files.completeUploadExternal",
            &body,
            &[format!("post:{}", place.channel)],
            false,
        )
        .map(|_| ())
    }

    fn call(&self, method: &str, body: &Value, buckets: &[String], repeatable: bool) -> Result<Value, Failure> {
        let body = Body::Bytes(body.to_string().into_bytes());
        self.answer(&request("POST", &format!("/{method}"), body, buckets, repeatable))
            .map(|(answer, _)| answer)
    }

    /// Methods that read take no JSON.
    fn get(&self, method: &str, query: &[(&str, &str)]) -> Result<(Value, Headers), Failure> {
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let url = if query.is_empty() {
            format!("/{method}")
        } else {
            format!("/{method}?{}", query.join("&"))
        };
        self.answer(&request("GET", &url, Body::Empty, &["read".into()], true))
    }

    fn answer(&self, request: &Request) -> Result<(Value, Headers), Failure> {
        let response = self.wire.send(request).map_err(Failure::none_came)?;
        if response.status != 200 {
            let error = http::error_of(&response);
            return Err(Failure {
                name: None,
                unclear: response.status >= 500,
                error,
            });
        }
        let Ok(answer) = serde_json::from_slice::<Value>(&response.body) else {
            let error = Error::Unavailable("slack's answer is no JSON".into());
            return Err(Failure {
                name: None,
                unclear: true,
                error,
            });
        };
        if answer.get("ok").and_then(Value::as_bool) == Some(true) {
            return Ok((answer, response.headers));
        }
        let name = str_at(&answer, "/error").unwrap_or("unknown_error").to_owned();
        let unclear = matches!(name.as_str(), "fatal_error" | "internal_error" | "service_unavailable");
        Err(Failure {
            error: meaning(&name, &answer, &response),
            unclear,
            name: Some(name),
        })
    }
}

fn message(place: Place<'_>, shown: &Shown) -> Value {
    let mut body = json!({
        "channel": place.channel,
        "text": shown.text,
        "blocks": shown.blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if let Some(thread) = place.thread {
        body["thread_ts"] = thread.into();
    }
    body
}

fn request(method: &str, url: &str, body: Body, buckets: &[String], repeatable: bool) -> Request {
    let mut headers = Vec::new();
    if !matches!(body, Body::Empty) {
        headers.push(("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned()));
    }
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers,
        body,
        secrets: vec![Placement {
            secret: "bot_token".into(),
            slot: Slot::Header(("Authorization".into(), "Bearer ".into())),
        }],
        timeout_ms: None,
        repeatable,
        buckets: buckets.to_vec(),
        wait_ms: 5_000,
        max_bytes: None,
    }
}

/// What an error's name means to the caller.
fn meaning(name: &str, answer: &Value, response: &Response) -> Error {
    match name {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Error::RateLimited(
            header(&response.headers, "retry-after")
                .and_then(|seconds| seconds.parse::<u32>().ok())
                .map(|seconds| seconds.saturating_mul(1000)),
        ),
        "invalid_auth"
        | "not_authed"
        | "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "not_allowed_token_type"
        | "org_login_required"
        | "two_factor_setup_required" => Error::Unauthorized(format!("slack refuses the bot token: {name}")),
        "missing_scope" => {
            let needed = str_at(answer, "/needed").unwrap_or("a scope");
            Error::Unauthorized(format!(
                "the bot token lacks the scope {needed}: add it and install the app again"
            ))
        }
        "channel_not_found" => Error::Gone("the channel is not there, or the bot cannot see it".into()),
        "is_archived" => Error::Gone("the channel is archived".into()),
        "not_in_channel" => Error::Gone("the bot is not in the channel: invite it".into()),
        "message_not_found" => Error::Gone("somebody deleted the message that shows the answer".into()),
        "thread_not_found" | "cannot_reply_to_message" => Error::Gone("the thread is not there any more".into()),
        "user_not_found" | "user_not_visible" | "users_not_found" => Error::Gone("the person is not there".into()),
        "user_not_in_channel" => Error::Gone("the person is not in the channel".into()),
        "file_deleted" | "file_not_found" => Error::Gone("the file is not there any more".into()),
        "msg_too_long" | "msg_blocks_too_long" => Error::TooLarge(u32::try_from(crate::view::BUDGET).unwrap_or(0)),
        "fatal_error"
        | "internal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "update_failed"
        | "accesslimited" => Error::Unavailable(format!("slack says {name}")),
        _ => {
            // Slack names the field that it does not like; that is no content of a message.
            let detail = str_at(answer, "/response_metadata/messages/0").unwrap_or_default();
            Error::Rejected(format!("slack says {name} {detail}").trim_end().to_owned())
        }
    }
}

/// For a query: everything but the unreserved characters as `%XX`.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
