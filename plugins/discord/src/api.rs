//! Discord's REST API as typed calls, and its errors by what can be done about them. Codes are from
//! docs.discord.com/developers/topics/opcodes-and-status-codes (discord-api-docs, 2026-08).

use botyard_sdk::http::{self, header};
use botyard_sdk::json::{at, str_at};
use botyard_sdk::manifest::{Placement, Slot};
use botyard_sdk::raw_http::{Body, Content, Downloaded, FormPart, Request, Response};
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::{Conversation, Error, FileRef};

/// The host, as far as this adapter needs it; tests put a fake in its place.
pub trait Wire {
    /// # Errors
    /// No answer came.
    fn send(&self, request: &Request) -> Result<Response, Error>;
    /// # Errors
    /// No answer came.
    fn download(&self, request: &Request, name: &str) -> Result<Downloaded, Error>;
    /// Makes a file of the host's.
    ///
    /// # Errors
    /// The host could not keep it.
    fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<FileRef, Error>;
    /// On disk when it comes back.
    ///
    /// # Errors
    /// The host could not store it.
    fn save(&self, memory: &[u8]) -> Result<(), Error>;
    /// # Errors
    /// The host could not store it.
    fn posted(&self, message: &str) -> Result<(), Error>;
    /// # Errors
    /// The host could not store it.
    fn moved(&self, to: &Conversation) -> Result<(), Error>;
    /// Seconds since 1970.
    fn now(&self) -> u32;
    /// The bot's own user id.
    fn me(&self) -> Option<String>;
}

/// A call that did not do what it should.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Discord's own code, if Discord answered with one.
    pub code: Option<u64>,
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
    pub(crate) fn none_came(error: Error) -> Self {
        Self {
            code: None,
            unclear: matches!(error, Error::Ambiguous(_)),
            error,
        }
    }

    pub fn is(&self, codes: &[u64]) -> bool {
        self.code.is_some_and(|code| codes.contains(&code))
    }
}

/// Unknown channel, guild, message.
pub const UNKNOWN_CHANNEL: u64 = 10003;
pub const UNKNOWN_MESSAGE: u64 = 10008;
/// The token of an interaction is over; or nobody answered the interaction yet.
pub const UNKNOWN_WEBHOOK: u64 = 10015;
/// The token of an interaction is over or unknown.
pub const EXPIRED: [u64; 3] = [UNKNOWN_WEBHOOK, 10062, 50027];
/// The bot lacks a right there.
pub const MISSING_ACCESS: u64 = 50001;
pub const MISSING_PERMISSIONS: u64 = 50013;
pub const THREAD_ARCHIVED: u64 = 50083;
/// A message has one thread at most, and has it already.
pub const THREAD_EXISTS: u64 = 160_004;
/// Old messages take few edits.
pub const EDITS_USED_UP: u64 = 30046;
/// The file is too large for this server.
pub const TOO_LARGE: u64 = 40005;

/// What a message shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// Markdown, at most 2,000 characters.
    pub content: String,
    pub embeds: Vec<Value>,
    /// Rows of buttons and lists.
    pub components: Vec<Value>,
}

impl Shown {
    /// The whole message; what is empty is said too, because an edit leaves out what it does not name.
    pub(crate) fn body(&self) -> Value {
        json!({
            "content": self.content,
            "embeds": self.embeds,
            "components": self.components,
            // Whatever the text says, nobody is pinged.
            "allowed_mentions": { "parse": [] },
        })
    }
}

/// The ticket of an interaction: its token is good for 15 minutes.
#[derive(Debug, Clone, Copy)]
pub struct Ticket<'a> {
    pub app: &'a str,
    pub token: &'a str,
}

#[derive(Debug)]
pub struct Api<W> {
    pub wire: W,
}

/// Ephemeral: only who asked sees it.
const EPHEMERAL: u64 = 1 << 6;

impl<W: Wire> Api<W> {
    /// A new message: its id and its words. With the same nonce Discord makes one message of several tries, for some
    /// minutes, and answers with that one.
    ///
    /// # Errors
    /// With `unclear` when it may have been posted.
    pub fn post(
        &self,
        channel: &str,
        shown: &Shown,
        nonce: &str,
        answers: Option<&str>,
    ) -> Result<(String, String), Failure> {
        let mut body = shown.body();
        body["nonce"] = nonce.into();
        body["enforce_nonce"] = true.into();
        if let Some(message) = answers {
            // The message may be gone: then it is no reply, and still said.
            body["message_reference"] = json!({ "message_id": message, "fail_if_not_exists": false });
        }
        let answer = self.call(
            "POST",
            &format!("/channels/{channel}/messages"),
            Some(&body),
            &[format!("channel:{channel}")],
            true,
        )?;
        let content = answer
            .get("content")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok((id_of(&answer)?, content))
    }

    /// Changes a message: the same however often it is sent.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn edit(&self, channel: &str, message: &str, shown: &Shown) -> Result<(), Failure> {
        self.call(
            "PATCH",
            &format!("/channels/{channel}/messages/{message}"),
            Some(&shown.body()),
            &[format!("channel:{channel}")],
            true,
        )
        .map(|_| ())
    }

    /// Takes a message away; that it is gone already is fine.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn delete(&self, channel: &str, message: &str) -> Result<(), Failure> {
        let path = format!("/channels/{channel}/messages/{message}");
        match self.call("DELETE", &path, None, &[format!("delete:{channel}")], true) {
            Err(failure) if failure.is(&[UNKNOWN_MESSAGE]) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// What the deferred answer of an interaction shows; the id of its message.
    ///
    /// # Errors
    /// One of [`EXPIRED`] after 15 minutes.
    pub fn edit_original(&self, ticket: Ticket<'_>, shown: &Shown) -> Result<String, Failure> {
        let path = format!("/webhooks/{}/{}/messages/@original", ticket.app, ticket.token);
        id_of(&self.ticketed("PATCH", &path, Some(&shown.body()), true)?)
    }

    /// Whether the deferred answer is for one person alone. One that is gone is not.
    ///
    /// # Errors
    /// One of [`EXPIRED`] after 15 minutes.
    pub fn original_is_private(&self, ticket: Ticket<'_>) -> Result<bool, Failure> {
        let path = format!("/webhooks/{}/{}/messages/@original", ticket.app, ticket.token);
        match self.ticketed("GET", &path, None, true) {
            Ok(message) => {
                let flags = message.get("flags").and_then(Value::as_u64).unwrap_or(0);
                Ok(flags & EPHEMERAL != 0)
            }
            Err(failure) if failure.is(&[UNKNOWN_MESSAGE]) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Takes the deferred answer away.
    ///
    /// # Errors
    /// One of [`EXPIRED`] after 15 minutes.
    pub fn delete_original(&self, ticket: Ticket<'_>) -> Result<(), Failure> {
        let path = format!("/webhooks/{}/{}/messages/@original", ticket.app, ticket.token);
        match self.ticketed("DELETE", &path, None, true) {
            Err(failure) if failure.is(&[UNKNOWN_MESSAGE]) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// One more message to an interaction, for this person alone. It has no nonce.
    ///
    /// # Errors
    /// With `unclear` when it may have been posted.
    pub fn whisper(&self, ticket: Ticket<'_>, shown: &Shown) -> Result<String, Failure> {
        let mut body = shown.body();
        body["flags"] = EPHEMERAL.into();
        let path = format!("/webhooks/{}/{}?wait=true", ticket.app, ticket.token);
        id_of(&self.ticketed("POST", &path, Some(&body), false)?)
    }

    /// Changes a message that was sent with the ticket.
    ///
    /// # Errors
    /// One of [`EXPIRED`] after 15 minutes.
    pub fn edit_whisper(&self, ticket: Ticket<'_>, message: &str, shown: &Shown) -> Result<(), Failure> {
        let path = format!("/webhooks/{}/{}/messages/{message}", ticket.app, ticket.token);
        self.ticketed("PATCH", &path, Some(&shown.body()), true).map(|_| ())
    }

    /// Takes a message away that was sent with the ticket; that it is gone already is fine.
    ///
    /// # Errors
    /// One of [`EXPIRED`] after 15 minutes.
    pub fn delete_whisper(&self, ticket: Ticket<'_>, message: &str) -> Result<(), Failure> {
        let path = format!("/webhooks/{}/{}/messages/{message}", ticket.app, ticket.token);
        match self.ticketed("DELETE", &path, None, true) {
            Err(failure) if failure.is(&[UNKNOWN_MESSAGE]) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// A thread from a message: it gets the message's own id. That it is there already is fine.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn make_thread(&self, channel: &str, message: &str, name: &str) -> Result<(), Failure> {
        let body = json!({ "name": name, "auto_archive_duration": 1440 });
        let path = format!("/channels/{channel}/messages/{message}/threads");
        match self.call("POST", &path, Some(&body), &[format!("channel:{channel}")], true) {
            Err(failure) if failure.is(&[THREAD_EXISTS]) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Brings an archived thread back, which an edit does not do by itself.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn reopen_thread(&self, thread: &str) -> Result<(), Failure> {
        self.call(
            "PATCH",
            &format!("/channels/{thread}"),
            Some(&json!({ "archived": false })),
            &[],
            true,
        )
        .map(|_| ())
    }

    /// The sign that somebody is typing, for ten seconds.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn typing(&self, channel: &str) -> Result<(), Failure> {
        self.call("POST", &format!("/channels/{channel}/typing"), None, &[], true)
            .map(|_| ())
    }

    /// The direct channel with a person.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn direct(&self, user: &str) -> Result<String, Failure> {
        let body = json!({ "recipient_id": user });
        id_of(&self.call("POST", "/users/@me/channels", Some(&body), &[], true)?)
    }

    /// A message with one file of the host's.
    ///
    /// # Errors
    /// [`TOO_LARGE`] when this server takes less; with `unclear` when it may have been posted.
    pub fn upload(&self, channel: &str, file: &FileRef, nonce: &str) -> Result<String, Failure> {
        let payload = json!({
            "nonce": nonce,
            "enforce_nonce": true,
            "allowed_mentions": { "parse": [] },
            "attachments": [{ "id": 0, "filename": file.name }],
        });
        let mut request = request(
            "POST",
            &format!("/channels/{channel}/messages"),
            multipart(&payload, file),
            &[format!("channel:{channel}")],
            true,
        );
        request.headers.clear();
        id_of(&self.answer(&request)?)
    }

    /// A file for one person alone.
    ///
    /// # Errors
    /// As `upload`.
    pub fn upload_whisper(&self, ticket: Ticket<'_>, file: &FileRef) -> Result<String, Failure> {
        let payload = json!({
            "flags": EPHEMERAL,
            "allowed_mentions": { "parse": [] },
            "attachments": [{ "id": 0, "filename": file.name }],
        });
        let path = format!("/webhooks/{}/{}?wait=true", ticket.app, ticket.token);
        let mut request = request("POST", &path, multipart(&payload, file), &[], false);
        request.headers.clear();
        request.secrets.clear();
        id_of(&self.answer(&request)?)
    }

    /// Any GET below the api-base.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call("GET", path, None, &[], true)
    }

    /// Bulk overwrite of the global commands.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn put_commands(&self, app: &str, commands: &[Value]) -> Result<(), Failure> {
        let body = Value::from(commands);
        self.call("PUT", &format!("/applications/{app}/commands"), Some(&body), &[], true)
            .map(|_| ())
    }

    /// A file of the vendor's into the host's keeping. Its URL is signed, and runs out within a day.
    ///
    /// # Errors
    /// As the vendor's answer says.
    pub fn download(&self, url: &str, name: &str) -> Result<FileRef, Error> {
        let mut request = request("GET", url, Body::Empty, &[], true);
        request.secrets.clear();
        match self.wire.download(&request, name)? {
            Downloaded::File(file) => Ok(file),
            Downloaded::Refused(response) => Err(http::error_of(&response)),
        }
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        buckets: &[String],
        repeatable: bool,
    ) -> Result<Value, Failure> {
        self.answer(&request(method, path, json_body(body), buckets, repeatable))
    }

    /// The ticket stands in the URL; the bot's token is not its business.
    fn ticketed(&self, method: &str, path: &str, body: Option<&Value>, repeatable: bool) -> Result<Value, Failure> {
        let mut request = request(method, path, json_body(body), &[], repeatable);
        request.secrets.clear();
        self.answer(&request)
    }

    fn answer(&self, request: &Request) -> Result<Value, Failure> {
        let response = self.wire.send(request).map_err(Failure::none_came)?;
        if response.status == 204 {
            return Ok(Value::Null);
        }
        let answer = serde_json::from_slice::<Value>(&response.body).unwrap_or(Value::Null);
        if (200..300).contains(&response.status) {
            return Ok(answer);
        }
        let code = answer.get("code").and_then(Value::as_u64);
        Err(Failure {
            error: meaning(code.unwrap_or(0), &answer, &response),
            unclear: response.status >= 500,
            code,
        })
    }
}

fn json_body(body: Option<&Value>) -> Body {
    body.map_or(Body::Empty, |body| Body::Bytes(body.to_string().into_bytes()))
}

fn multipart(payload: &Value, file: &FileRef) -> Body {
    Body::Multipart(vec![
        FormPart {
            name: "payload_json".into(),
            filename: None,
            media_type: Some("application/json".into()),
            content: Content::Bytes(payload.to_string().into_bytes()),
        },
        FormPart {
            name: "files[0]".into(),
            filename: Some(file.name.clone()),
            media_type: Some(file.media_type.clone()),
            content: Content::File(file.id.clone()),
        },
    ])
}

fn id_of(answer: &Value) -> Result<String, Failure> {
    str_at(answer, "/id").map(str::to_owned).ok_or_else(|| Failure {
        code: None,
        unclear: true,
        error: Error::Unavailable("discord named no id for what was made".into()),
    })
}

fn request(method: &str, url: &str, body: Body, buckets: &[String], repeatable: bool) -> Request {
    let mut headers = Vec::new();
    if !matches!(body, Body::Empty) {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    // 50 requests per second for the whole bot; interactions are outside of it.
    let mut all = buckets.to_vec();
    if !url.starts_with("/webhooks/") && url.starts_with('/') {
        all.push("global".into());
    }
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers,
        body,
        secrets: vec![Placement {
            secret: "token".into(),
            slot: Slot::Header(("Authorization".into(), "Bot ".into())),
        }],
        timeout_ms: None,
        repeatable,
        buckets: all,
        wait_ms: 5_000,
        max_bytes: None,
    }
}

/// What an error's code means to the caller.
fn meaning(code: u64, answer: &Value, response: &Response) -> Error {
    match (response.status, code) {
        (429, _) => Error::RateLimited(pause(answer, response)),
        (401, _) | (_, 50014) => Error::Unauthorized(
            "discord refuses the bot token: copy it anew from the Bot page of your application".into(),
        ),
        (_, UNKNOWN_CHANNEL) => Error::Gone("the channel is not there any more".into()),
        (_, UNKNOWN_MESSAGE) => Error::Gone("somebody deleted the message that shows the answer".into()),
        (_, 10004 | 10007 | 10013) => Error::Gone("the person or the server is not there any more".into()),
        (_, 50007 | 50278) => Error::Gone("this person takes no direct messages from the bot".into()),
        (_, UNKNOWN_WEBHOOK | 10062 | 50027) => Error::Gone("the time to answer this interaction is over".into()),
        (_, MISSING_ACCESS) => Error::Rejected(
            "the bot cannot see this channel: give its role View Channel and Read Message History there".into(),
        ),
        (_, MISSING_PERMISSIONS) => Error::Rejected(
            "the bot lacks a permission in this channel: give its role Send Messages, Send Messages in Threads, \
             Create Public Threads, Embed Links and Attach Files there"
                .into(),
        ),
        (_, 160_005) => Error::Rejected("this thread is locked: only moderators may write in it".into()),
        (_, 20016) => Error::RateLimited(pause(answer, response)),
        (_, TOO_LARGE) => Error::TooLarge(crate::describe::UPLOAD),
        (_, 50035) if too_long(answer) => Error::TooLarge(2000),
        (413, _) => Error::TooLarge(crate::describe::UPLOAD),
        (500..=599, _) => Error::Unavailable(format!("discord answers with status {}", response.status)),
        // Without a code it is not the API that answers, but what stands before it.
        (403, 0) => Error::Unavailable("discord's front door refuses this host for now (status 403)".into()),
        (404, 0) => Error::Gone("discord says that this is not there".into()),
        (status, code) => {
            let field = first_problem(answer.get("errors")).unwrap_or_default();
            Error::Rejected(
                format!("discord says {code} (status {status}) {field}")
                    .trim_end()
                    .to_owned(),
            )
        }
    }
}

fn pause(answer: &Value, response: &Response) -> Option<u32> {
    let seconds = answer
        .get("retry_after")
        .and_then(Value::as_f64)
        .or_else(|| header(&response.headers, "retry-after").and_then(|text| text.parse().ok()))?;
    Some((seconds.clamp(0.0, 3600.0) * 1000.0).ceil() as u32)
}

fn too_long(answer: &Value) -> bool {
    let errors = answer.get("errors").map(Value::to_string).unwrap_or_default();
    errors.contains("BASE_TYPE_MAX_LENGTH") || errors.contains("BASE_TYPE_BAD_LENGTH")
}

/// The path and the code of the first field that Discord does not like; that is no content of a message.
fn first_problem(errors: Option<&Value>) -> Option<String> {
    let fields = errors?.as_object()?;
    for (name, inside) in fields {
        if name == "_errors" {
            return at(inside, "/0/code").and_then(Value::as_str).map(str::to_owned);
        }
        if let Some(found) = first_problem(Some(inside)) {
            return Some(format!("{name}.{found}"));
        }
    }
    None
}
