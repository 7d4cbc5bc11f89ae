//! One HTTP request to the open API: trouble, token, scope, method, record.
//!
//! Confirmed by no page of the vendor's that we hold: that refusals come with HTTP 400 whatever the code (a rate limit
//! of the app does, and the token's refusal was seen so), and which of several scopes a call is refused for first.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tenant::{Call, State, Tenant, Trouble, Upload};
use super::{card, line, message, rate};
use crate::served::{Part, Reply, Request, parts};

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) code: i64,
    pub(crate) msg: String,
}

pub(crate) fn wrong(code: i64, msg: impl Into<String>) -> Wrong {
    Wrong { code, msg: msg.into() }
}

/// `data` of an answer.
pub(crate) type Outcome = Result<Value, Wrong>;

/// A call that came in, taken apart.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: Vec<&'a str>,
    query: Vec<(String, String)>,
    pub(crate) body: &'a Value,
    parts: Vec<Part>,
}

impl Asked<'_> {
    pub(crate) fn query(&self, name: &str) -> &str {
        let mut all = self.query.iter();
        all.find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

impl Tenant {
    /// Takes one request, as the server would.
    pub fn request(&self, request: &Request) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let parts = parts(request);
        let body: Result<Value, Wrong> = if request.body.is_empty() || !parts.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_slice(&request.body).map_err(|error| wrong(99_991_401, format!("no JSON: {error}")))
        };
        let mut state = self.lock();
        let trouble = trouble(&mut state, &format!("{} {path}", request.method));
        let null = Value::Null;
        let asked = Asked {
            method: &request.method,
            path: path.trim_matches('/').split('/').collect(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            body: body.as_ref().unwrap_or(&null),
            parts,
        };
        let refused = body.as_ref().err().cloned();
        let reply = answer(&mut state, &asked, request, refused, trouble.as_ref());
        let call = Call {
            method: request.method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: asked.body.clone(),
            status: reply.status,
            answer: serde_json::from_slice(&reply.body).unwrap_or_default(),
            at: Instant::now(),
        };
        state.calls.push(call);
        drop(state);
        self.touched();
        reply
    }
}

/// The first trouble that is meant for this call.
fn trouble(state: &mut State, call: &str) -> Option<Trouble> {
    let meant = |what: &Option<String>| match what.as_deref() {
        None => true,
        Some(what) => what
            .strip_suffix('$')
            .map_or(call.starts_with(what), |whole| call == whole),
    };
    let at = state.troubles.iter().position(|(what, _)| meant(what))?;
    state.troubles.remove(at).map(|(_, trouble)| trouble)
}

fn refusal(wrong: &Wrong) -> Reply {
    let body = json!({ "code": wrong.code, "msg": wrong.msg, "error": { "log_id": "0" } });
    Reply::json(400, &body)
}

fn answer(
    state: &mut State,
    asked: &Asked<'_>,
    request: &Request,
    refused: Option<Wrong>,
    trouble: Option<&Trouble>,
) -> Reply {
    match trouble {
        Some(Trouble::RateLimited { seconds }) => return limited(50, Duration::from_secs((*seconds).into())),
        Some(Trouble::Status(status)) => return Reply::of(*status, "text/html", b"<html>trouble</html>".to_vec()),
        Some(Trouble::Code(code)) => return refusal(&wrong(*code, "trouble")),
        Some(Trouble::CutBefore) => {
            let mut reply = Reply::json(500, &Value::Null);
            reply.cut = true;
            return reply;
        }
        _ => {}
    }
    let mut reply = match refused {
        Some(wrong) => refusal(&wrong),
        None => done(state, asked, request),
    };
    match trouble {
        Some(Trouble::StatusAfter(status)) => {
            reply = Reply::of(*status, "text/html", b"<html>trouble</html>".to_vec());
        }
        Some(Trouble::Slow(delay)) => reply.delay = *delay,
        Some(Trouble::Cut) => reply.cut = true,
        _ => {}
    }
    reply
}

/// open.feishu.cn/document/server-docs/api-call-guide/frequency-control
fn limited(calls: usize, wait: Duration) -> Reply {
    let body = json!({ "code": 99_991_400, "msg": "request trigger frequency limit" });
    let mut reply = Reply::json(429, &body);
    let seconds = wait.as_secs_f64().ceil();
    let told = [("limit", calls.to_string()), ("reset", seconds.to_string())];
    let headers = told.map(|(name, value)| (format!("x-ogw-ratelimit-{name}"), value));
    reply.headers.extend(headers);
    reply
}

fn done(state: &mut State, asked: &Asked<'_>, request: &Request) -> Reply {
    match (asked.method, &asked.path[..]) {
        ("POST", ["open-apis", "auth", "v3", "tenant_access_token", "internal"]) => return token(state, asked),
        ("POST", ["callback", "ws", "endpoint"]) => return Reply::json(200, &line::endpoint(state, asked)),
        _ => {}
    }
    if let Err(wrong) = authorized(state, request.authorization.as_deref()) {
        return refusal(&wrong);
    }
    let counts = rate::of(asked);
    if let Err((which, wait)) = state.meter.take(&counts) {
        return limited(counts[which].1.calls, wait);
    }
    if let ("GET", ["open-apis", "im", "v1", "messages", id, "resources", key]) = (asked.method, &asked.path[..]) {
        return match resource(state, id, key, asked.query("type")) {
            Ok(upload) => Reply::of(200, "application/octet-stream", upload.bytes.clone()),
            Err(wrong) => refusal(&wrong),
        };
    }
    match method(state, asked) {
        Ok(Value::Object(mut whole)) if whole.contains_key("code") => {
            Reply::json(200, &Value::Object(std::mem::take(&mut whole)))
        }
        Ok(data) => Reply::json(200, &json!({ "code": 0, "msg": "success", "data": data })),
        Err(wrong) => refusal(&wrong),
    }
}

/// A token lives for two hours, and is given again while it has more than half an hour left:
/// open.feishu.cn/document/server-docs/authentication-management/access-token/tenant_access_token_internal.
fn token(state: &mut State, asked: &Asked<'_>) -> Reply {
    if asked.text("app_id") != super::APP_ID {
        return Reply::json(200, &json!({ "code": 10_003, "msg": "invalid app_id" }));
    }
    if asked.text("app_secret") != state.secret {
        return Reply::json(200, &json!({ "code": 10_014, "msg": "app secret invalid" }));
    }
    let now = Instant::now();
    let fresh = state
        .tokens
        .iter()
        .find(|(_, ends)| **ends > now + Duration::from_secs(1800));
    let (token, ends) = match fresh {
        Some((token, ends)) => (token.clone(), *ends),
        None => {
            let token = state.name("t-fake");
            let ends = now + Duration::from_secs(7200);
            state.tokens.insert(token.clone(), ends);
            (token, ends)
        }
    };
    let left = ends.duration_since(now).as_secs();
    Reply::json(
        200,
        &json!({ "code": 0, "msg": "ok", "tenant_access_token": token, "expire": left }),
    )
}

fn authorized(state: &State, header: Option<&str>) -> Result<(), Wrong> {
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Err(wrong(99_991_661, "Missing access token for authorization."));
    };
    match state.tokens.get(token) {
        Some(ends) if *ends > Instant::now() => Ok(()),
        _ => Err(wrong(99_991_663, "Invalid access token for authorization.")),
    }
}

/// One of these scopes is needed.
fn allowed(state: &State, scopes: &[&str]) -> Result<(), Wrong> {
    if scopes.iter().any(|scope| state.scopes.contains(*scope)) {
        return Ok(());
    }
    let list = scopes.join(", ");
    Err(wrong(
        99_991_672,
        format!("Access denied. One of the following scopes is required: [{list}]"),
    ))
}

fn method(state: &mut State, asked: &Asked<'_>) -> Outcome {
    let ["open-apis", path @ ..] = &asked.path[..] else {
        return Err(wrong(99_991_404, "no such API"));
    };
    match (asked.method, path) {
        ("GET", ["bot", "v3", "info"]) => Ok(json!({ "code": 0, "msg": "ok", "bot": {
            "activate_status": 2, "app_name": "botyard", "avatar_url": "", "ip_white_list": [], "open_id": super::BOT,
        } })),
        ("POST", ["im", "v1", "images"]) => upload(state, asked, true),
        ("POST", ["im", "v1", "files"]) => upload(state, asked, false),
        (_, ["im", "v1", "messages", rest @ ..]) => {
            allowed(state, message::scopes(asked.method, rest))?;
            message::call(state, asked, rest)
        }
        (verb, ["cardkit", "v1", "cards", rest @ ..]) => {
            allowed(state, &["cardkit:card:write"])?;
            match (verb, rest) {
                ("POST", []) => card::create(state, asked.body),
                (_, [id, rest @ ..]) => card::change(state, verb, id, rest, asked.body),
                _ => Err(wrong(99_991_404, "no such API")),
            }
        }
        ("GET", ["contact", "v3", "users", id]) => {
            allowed(state, &["contact:user.base:readonly", "contact:contact:readonly"])?;
            let name = state
                .people
                .get(*id)
                .ok_or_else(|| wrong(41_050, "no user authority error"))?;
            Ok(json!({ "user": { "open_id": id, "name": name, "en_name": "" } }))
        }
        ("GET", ["im", "v1", "chats", id, "members"]) => {
            allowed(state, &["im:chat:readonly", "im:chat"])?;
            let chat = state.chats.get(*id).ok_or_else(|| wrong(232_006, "invalid chat_id"))?;
            let there = state
                .people
                .iter()
                .filter(|(id, _)| chat.direct.as_ref().is_none_or(|d| d == *id));
            let items: Vec<Value> = there
                .map(|(id, name)| json!({ "member_id": id, "name": name }))
                .collect();
            Ok(json!({ "items": items, "has_more": false, "page_token": "", "member_total": items.len() }))
        }
        ("GET", ["application", "v6", "scopes"]) => {
            let all = super::SCOPES.iter();
            let scopes: Vec<Value> = all
                .map(|name| {
                    let status = if state.scopes.contains(*name) { 1 } else { 2 };
                    json!({ "scope_name": name, "grant_status": status, "scope_type": "tenant" })
                })
                .collect();
            Ok(json!({ "scopes": scopes }))
        }
        ("GET", ["application", "v6", "applications", "me"]) => application(state, asked),
        _ => Err(wrong(99_991_404, "no such API")),
    }
}

/// open.feishu.cn/document/server-docs/application-v6/application/get; the fields as in @larksuiteoapi/node-sdk 1.74.0.
fn application(state: &State, asked: &Asked<'_>) -> Outcome {
    allowed(
        state,
        &["admin:app.info:readonly", "application:application:self_manage"],
    )?;
    if !["zh_cn", "en_us", "ja_jp"].contains(&asked.query("lang")) {
        return Err(wrong(210_501, "invalid lang"));
    }
    let (events, callbacks): (Vec<&String>, Vec<&String>) =
        state.subscribed.iter().partition(|name| !name.starts_with("card."));
    Ok(json!({ "app": {
        "app_id": super::APP_ID, "app_name": "botyard", "status": 1, "scene_type": 0, "primary_language": "en_us",
        "event": { "subscription_type": "websocket", "request_url": "", "subscribed_events": events },
        "callback_info": { "callback_type": "websocket", "request_url": "", "subscribed_callbacks": callbacks },
    } }))
}

/// open.feishu.cn/document/server-docs/im-v1/image/create (10 MB) and .../file/create (30 MB, not empty).
fn upload(state: &mut State, asked: &Asked<'_>, image: bool) -> Outcome {
    allowed(state, &["im:resource", "im:resource:upload"])?;
    let (part, kind, most) = if image {
        ("image", "image_type", 10 << 20)
    } else {
        ("file", "file_type", 30 << 20)
    };
    let kind = asked.part(kind).map(|part| part.bytes.clone()).unwrap_or_default();
    let kind = String::from_utf8_lossy(&kind).into_owned();
    let kinds: &[&str] = if image {
        &["message", "avatar"]
    } else {
        &["opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"]
    };
    let file = asked
        .part(part)
        .ok_or_else(|| wrong(234_001, "Invalid request param."))?;
    if !kinds.contains(&kind.as_str()) {
        return Err(wrong(234_001, "Invalid request param."));
    }
    if file.bytes.is_empty() {
        return Err(wrong(234_010, "File's size can't be 0."));
    }
    if file.bytes.len() > most {
        return Err(wrong(234_006, "The file size exceed the max value."));
    }
    if image && !picture(&file.bytes) {
        return Err(wrong(234_011, "Can't regonnize the image format."));
    }
    let name = match asked.part("file_name") {
        Some(name) => String::from_utf8_lossy(&name.bytes).into_owned(),
        None => file.filename.clone().unwrap_or_default(),
    };
    let upload = Upload {
        name,
        bytes: file.bytes.clone(),
        image,
        message: None,
    };
    let (key, field) = if image {
        (state.name("img_v3"), "image_key")
    } else {
        (state.name("file_v3"), "file_key")
    };
    state.uploads.insert(key.clone(), upload);
    Ok(json!({ field: key }))
}

fn picture(bytes: &[u8]) -> bool {
    let begins: [&[u8]; 4] = [b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF"];
    begins.iter().any(|begin| bytes.starts_with(begin))
}

/// Only of the message that it came with, and only with the right type.
fn resource<'a>(state: &'a State, id: &str, key: &str, kind: &str) -> Result<&'a Upload, Wrong> {
    allowed(state, &["im:resource", "im:message:readonly", "im:message"])?;
    let upload = state
        .uploads
        .get(key)
        .filter(|upload| upload.message.as_deref() == Some(id));
    let upload = upload.ok_or_else(|| wrong(234_003, "File not in msg."))?;
    let right = if upload.image { "image" } else { "file" };
    if kind != right {
        return Err(wrong(234_001, "Invalid request param."));
    }
    Ok(upload)
}
