//! Feishu's open API as typed calls. Every answer is JSON with a `code`, 0 when it was done, whatever the HTTP status.

use botyard_sdk::http;
use botyard_sdk::json::at;
use botyard_sdk::manifest::{Placement, Slot};
use botyard_sdk::raw_http::{Body, Content, Downloaded, FormPart, Request, Response};
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::{Error, FileRef};

use crate::code;

/// The host, as far as this adapter needs it; tests put a fake in its place.
pub trait Wire {
    /// # Errors
    /// No answer came.
    fn send(&self, request: &Request) -> Result<Response, Error>;
    /// # Errors
    /// No answer came.
    fn download(&self, request: &Request, name: &str) -> Result<Downloaded, Error>;
    /// This bucket is empty for so long.
    fn hold(&self, bucket: &str, for_ms: u32);
    /// Makes a file of the host's.
    ///
    /// # Errors
    /// The host could not store it.
    fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<FileRef, Error>;
    /// On disk when it comes back.
    ///
    /// # Errors
    /// The host could not store it.
    fn save(&self, memory: &[u8]) -> Result<(), Error>;
    /// # Errors
    /// The host could not store it.
    fn posted(&self, message: &str) -> Result<(), Error>;
    /// Seconds since 1970.
    fn now(&self) -> u32;
}

/// A call that did not do what it should.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Feishu's own code; 0 if Feishu did not answer.
    pub code: i64,
    pub error: Error,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: 0, error }
    }
}

impl Failure {
    pub fn is(&self, codes: &[i64]) -> bool {
        codes.contains(&self.code)
    }
}

/// An answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    pub message: &'a str,
    /// In its thread, which is opened if there is none.
    pub in_thread: bool,
    /// Where it stands, if that is known: a chat takes only so many messages.
    pub chat: Option<&'a str>,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To<'a> {
    Reply(Reply<'a>),
    Chat(&'a str),
    Person(&'a str),
}

impl<'a> To<'a> {
    const fn chat(self) -> Option<&'a str> {
        match self {
            Self::Reply(reply) => reply.chat,
            Self::Chat(id) | Self::Person(id) => Some(id),
        }
    }
}

/// The name of the token that the host mints.
pub const TENANT: &str = "tenant";
/// Sending, replying, patching: 1,000 in a minute and 50 in a second for each API.
/// By the minute and by the second.
const IM: [&str; 2] = ["im", "im.second"];
const CARDKIT: [&str; 2] = ["cardkit", "cardkit.second"];

#[derive(Debug)]
pub struct Api<W> {
    pub wire: W,
}

impl<W: Wire> Api<W> {
    /// A card entity; nobody sees it until it is sent, so making it twice does no harm.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn create_card(&self, card: &Value) -> Result<String, Failure> {
        let body = json!({ "type": "card_json", "data": card.to_string() });
        let answer = self.call("POST", "/open-apis/cardkit/v1/cards", &body, &CARDKIT.map(Into::into))?;
        named(&answer, "/data/card_id")
    }

    /// The whole card anew. `sequence` must rise with each operation on a card.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn update_card(&self, card: &str, data: &Value, sequence: u32, uuid: &str) -> Result<(), Failure> {
        let body = json!({
            "card": { "type": "card_json", "data": data.to_string() },
            "sequence": sequence,
            "uuid": uuid,
        });
        let url = format!("/open-apis/cardkit/v1/cards/{}", encode(card));
        self.call("PUT", &url, &body, &card_buckets(card)).map(|_| ())
    }

    /// The whole text of one element; what only grew is typed out before the reader's eyes.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn stream(&self, card: &str, element: &str, text: &str, sequence: u32, uuid: &str) -> Result<(), Failure> {
        let body = json!({ "content": text, "sequence": sequence, "uuid": uuid });
        let url = format!(
            "/open-apis/cardkit/v1/cards/{}/elements/{}/content",
            encode(card),
            encode(element)
        );
        self.call("PUT", &url, &body, &card_buckets(card)).map(|_| ())
    }

    /// Opens or closes the stream of a card; `summary` is what lists of chats show.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn settings(
        &self,
        card: &str,
        streaming: bool,
        summary: &str,
        sequence: u32,
        uuid: &str,
    ) -> Result<(), Failure> {
        let settings = json!({ "config": { "streaming_mode": streaming, "summary": { "content": summary } } });
        let body = json!({ "settings": settings.to_string(), "sequence": sequence, "uuid": uuid });
        let url = format!("/open-apis/cardkit/v1/cards/{}/settings", encode(card));
        self.call("PATCH", &url, &body, &card_buckets(card)).map(|_| ())
    }

    /// A message. Feishu sends it once for each `uuid`, for an hour.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn post(&self, to: To<'_>, kind: &str, content: &Value, uuid: &str) -> Result<String, Failure> {
        let mut body = json!({ "msg_type": kind, "content": content.to_string(), "uuid": uuid });
        let mut buckets = IM.map(str::to_owned).to_vec();
        buckets.extend(to.chat().map(|chat| format!("chat:{chat}")));
        let url = match to {
            To::Reply(reply) => {
                body["reply_in_thread"] = reply.in_thread.into();
                format!("/open-apis/im/v1/messages/{}/reply", encode(reply.message))
            }
            To::Chat(id) => {
                body["receive_id"] = id.into();
                "/open-apis/im/v1/messages?receive_id_type=chat_id".to_owned()
            }
            To::Person(id) => {
                body["receive_id"] = id.into();
                "/open-apis/im/v1/messages?receive_id_type=open_id".to_owned()
            }
        };
        let answer = self.call("POST", &url, &body, &buckets)?;
        named(&answer, "/data/message_id")
    }

    /// Another card in the place of a message's card, which must have `update_multi`; for 14 days.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn patch(&self, message: &str, card: &Value) -> Result<(), Failure> {
        let url = format!("/open-apis/im/v1/messages/{}", encode(message));
        // Five in a second for each message.
        let [minute, second] = IM.map(str::to_owned);
        let buckets = [minute, second, format!("patch:{message}")];
        let body = json!({ "content": card.to_string() });
        self.call("PATCH", &url, &body, &buckets).map(|_| ())
    }

    /// Another text in the place of a rich text's; at most 20 times.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn edit(&self, message: &str, post: &Value) -> Result<(), Failure> {
        let url = format!("/open-apis/im/v1/messages/{}", encode(message));
        let body = json!({ "msg_type": "post", "content": post.to_string() });
        self.call("PUT", &url, &body, &IM.map(Into::into)).map(|_| ())
    }

    /// Takes a message of ours back; that it is gone already is fine.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn delete(&self, message: &str) -> Result<(), Failure> {
        let url = format!("/open-apis/im/v1/messages/{}", encode(message));
        match self.ask("DELETE", &url, &IM.map(Into::into)) {
            Err(failure) if failure.is(&code::WITHDRAWN) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Whether a message still stands in its chat: its card can be changed when it does not. Where Feishu does not let
    /// the app see that, it does.
    ///
    /// # Errors
    /// Feishu does not say now.
    pub fn stands(&self, message: &str) -> Result<bool, Failure> {
        match self.get(&format!("/open-apis/im/v1/messages/{}", encode(message))) {
            Ok(answer) => Ok(at(&answer, "/data/items/0/deleted") != Some(&Value::Bool(true))),
            Err(failure) if failure.is(&code::WITHDRAWN) => Ok(false),
            Err(failure) if matches!(failure.error, Error::RateLimited(_) | Error::Unavailable(_)) => Err(failure),
            Err(_) => Ok(true),
        }
    }

    /// Puts an emoji on a message; the reaction's id.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn react(&self, message: &str, emoji: &str) -> Result<String, Failure> {
        let url = format!("/open-apis/im/v1/messages/{}/reactions", encode(message));
        let body = json!({ "reaction_type": { "emoji_type": emoji } });
        let answer = self.call("POST", &url, &body, &IM.map(Into::into))?;
        named(&answer, "/data/reaction_id")
    }

    /// Takes it off again.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn unreact(&self, message: &str, reaction: &str) -> Result<(), Failure> {
        let url = format!(
            "/open-apis/im/v1/messages/{}/reactions/{}",
            encode(message),
            encode(reaction)
        );
        self.ask("DELETE", &url, &IM.map(Into::into)).map(|_| ())
    }

    /// The key of an image of the host's: at most 10 MB.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn upload_image(&self, file: &FileRef) -> Result<String, Failure> {
        let parts = vec![text_part("image_type", "message"), file_part("image", file)];
        let answer = self.multipart("/open-apis/im/v1/images", parts)?;
        named(&answer, "/data/image_key")
    }

    /// The key of a file of the host's: at most 30 MB, and not empty.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn upload_file(&self, file: &FileRef) -> Result<String, Failure> {
        let parts = vec![
            text_part("file_type", file_type(&file.name)),
            text_part("file_name", &file.name),
            file_part("file", file),
        ];
        let answer = self.multipart("/open-apis/im/v1/files", parts)?;
        named(&answer, "/data/file_key")
    }

    /// A file or an image that came with a person's message: at most 100 MB.
    ///
    /// # Errors
    /// As the vendor's code says.
    pub fn resource(&self, message: &str, key: &str, kind: &str, name: &str) -> Result<FileRef, Error> {
        let url = format!(
            "/open-apis/im/v1/messages/{}/resources/{}?type={kind}",
            encode(message),
            encode(key)
        );
        let request = request("GET", &url, Body::Empty, &["resource".into()], true);
        match self.wire.download(&request, name)? {
            Downloaded::File(file) => Ok(file),
            Downloaded::Refused(response) => Err(self.refusal(&request, &response).error),
        }
    }

    /// # Errors
    /// As the vendor's code says.
    pub fn get(&self, url: &str) -> Result<Value, Failure> {
        self.ask("GET", url, &["read".into()])
    }

    fn ask(&self, method: &str, url: &str, buckets: &[String]) -> Result<Value, Failure> {
        self.answer(&request(method, url, Body::Empty, buckets, true))
    }

    /// All calls with a body carry an id of their own or do the same when they are repeated, but for reactions, of which
    /// a second is refused.
    fn call(&self, method: &str, url: &str, body: &Value, buckets: &[String]) -> Result<Value, Failure> {
        let bytes = Body::Bytes(body.to_string().into_bytes());
        self.answer(&request(method, url, bytes, buckets, true))
    }

    fn multipart(&self, url: &str, parts: Vec<FormPart>) -> Result<Value, Failure> {
        self.answer(&request("POST", url, Body::Multipart(parts), &["upload".into()], true))
    }

    fn answer(&self, request: &Request) -> Result<Value, Failure> {
        let response = self.wire.send(request)?;
        if let Ok(answer) = serde_json::from_slice::<Value>(&response.body)
            && response.status == 200
            && answer.get("code").and_then(Value::as_i64) == Some(0)
        {
            return Ok(answer);
        }
        Err(self.refusal(request, &response))
    }

    fn refusal(&self, request: &Request, response: &Response) -> Failure {
        let answer = serde_json::from_slice::<Value>(&response.body).unwrap_or_default();
        let code = answer.get("code").and_then(Value::as_i64).unwrap_or(0);
        if response.status == 200 && code == 0 {
            return Error::Unavailable("feishu's answer cannot be read".into()).into();
        }
        let message = answer.get("msg").and_then(Value::as_str).unwrap_or_default();
        let error = code::meaning(code, message, response);
        if let Error::RateLimited(Some(wait)) = error {
            // A chat that is busy holds up no other.
            let busy = |bucket: &&String| code != code::CHAT_BUSY || bucket.starts_with("chat:");
            for bucket in request.buckets.iter().filter(busy) {
                self.wire.hold(bucket, wait);
            }
        }
        Failure { code, error }
    }
}

fn card_buckets(card: &str) -> [String; 3] {
    let [minute, second] = CARDKIT.map(str::to_owned);
    [minute, second, format!("card:{card}")]
}

fn named(answer: &Value, pointer: &str) -> Result<String, Failure> {
    let found = at(answer, pointer).and_then(Value::as_str);
    found
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| Error::Unavailable(format!("feishu's answer has no `{pointer}`")).into())
}

fn text_part(name: &str, text: &str) -> FormPart {
    FormPart {
        name: name.into(),
        filename: None,
        media_type: None,
        content: Content::Bytes(text.as_bytes().to_vec()),
    }
}

fn file_part(name: &str, file: &FileRef) -> FormPart {
    FormPart {
        name: name.into(),
        filename: Some(file.name.clone()),
        media_type: Some(file.media_type.clone()),
        content: Content::File(file.id.clone()),
    }
}

/// open.feishu.cn/document/server-docs/im-v1/file/create: what is none of these is a `stream`.
fn file_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "pdf" => "pdf",
        "doc" | "docx" => "doc",
        "xls" | "xlsx" => "xls",
        "ppt" | "pptx" => "ppt",
        _ => "stream",
    }
}

fn request(method: &str, url: &str, body: Body, buckets: &[String], repeatable: bool) -> Request {
    let mut headers = Vec::new();
    if matches!(body, Body::Bytes(_)) {
        headers.push(("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned()));
    }
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers,
        body,
        secrets: vec![Placement {
            secret: TENANT.into(),
            slot: Slot::Header(("Authorization".into(), "Bearer ".into())),
        }],
        timeout_ms: None,
        repeatable,
        buckets: buckets.to_vec(),
        wait_ms: 5_000,
        max_bytes: None,
    }
}

/// For a segment of a path or a query: everything but the unreserved characters as `%XX`.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The URL and body that a link asks for its endpoint with; no token, the app's own credentials.
pub fn endpoint() -> http::Call {
    let slot = |name: &str| Slot::JsonPointer((format!("/{name}"), String::new()));
    http::call("POST", "/callback/ws/endpoint")
        .header("locale", "zh")
        .json(&json!({ "AppID": "", "AppSecret": "" }))
        .secret("app_id", slot("AppID"))
        .secret("app_secret", slot("AppSecret"))
        .timeout_ms(15_000)
}
