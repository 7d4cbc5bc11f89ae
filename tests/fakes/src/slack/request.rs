//! One HTTP request to the Web API: token, body, trouble, rate, method, record.
//!
//! Confirmed by no page of the vendor's that we hold: that a fifth use of a `response_url` is the last one and is
//! answered with 404 `used_url` afterwards (the five uses within 30 minutes are documented).

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::method::{self, Wrong, wrong};
use super::rate;
use super::workspace::{Call, Message, State, Trouble, Workspace};
use crate::served::{Reply, Request, parts};

impl Workspace {
    /// Takes one request, as the server would.
    pub fn request(&self, request: &Request) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        // On a host of their own at Slack's; here below the API, where its token may go.
        let reply = if let Some(id) = path.strip_prefix("/api/files/") {
            self.file(id, request)
        } else if let Some(name) = path.strip_prefix("/api/") {
            self.api(name, query, request)
        } else if path.starts_with("/response/") {
            self.respond(path, request)
        } else if let Some(id) = path.strip_prefix("/upload/v1/") {
            self.upload(id, request)
        } else {
            Reply::of(404, "text/html", "not found")
        };
        self.touched();
        reply
    }

    fn api(&self, name: &str, query: &str, request: &Request) -> Reply {
        let mut state = self.lock();
        let arguments = arguments(name, query, request);
        let trouble = trouble(&mut state, name);
        let (reply, answer) = answer(&mut state, name, &arguments, request, trouble.as_ref());
        let arguments = Value::Object(arguments.unwrap_or_default());
        state.calls.push(Call {
            method: name.into(),
            arguments,
            status: reply.status,
            answer,
            at: Instant::now(),
        });
        reply
    }

    /// A `response_url`: docs.slack.dev/interactivity/handling-user-interaction (five times within 30 minutes).
    fn respond(&self, path: &str, request: &Request) -> Reply {
        let mut state = self.lock();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some((channel, user, uses)) = state.responses.get_mut(path) else {
            return Reply::of(404, "text/plain", "expired_url");
        };
        *uses += 1;
        if *uses > 5 {
            return Reply::of(404, "text/plain", "used_url");
        }
        let (channel, user) = (channel.clone(), user.clone());
        let text = body.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        let blocks = body
            .get("blocks")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if text.is_empty() && blocks.is_empty() {
            return Reply::of(400, "text/plain", "no_text");
        }
        let ts = state.stamp();
        let whispered = body.get("response_type").and_then(Value::as_str) != Some("in_channel");
        state.messages.push(Message {
            text,
            blocks,
            ephemeral_to: whispered.then_some(user),
            ..Message::of_bot(&channel, &ts)
        });
        state.calls.push(Call {
            method: "response_url".into(),
            arguments: body,
            status: 200,
            answer: Value::Null,
            at: Instant::now(),
        });
        Reply::of(200, "text/plain", "ok")
    }

    fn upload(&self, id: &str, request: &Request) -> Reply {
        let mut state = self.lock();
        let Some(upload) = state.uploads.get_mut(id) else {
            return Reply::of(404, "text/plain", "not found");
        };
        // As they are, or as the first part of a form.
        let part = parts(request).into_iter().next();
        let bytes = part.map_or_else(|| request.body.clone(), |part| part.bytes);
        if bytes.len() as u64 != upload.length {
            return Reply::of(400, "text/plain", "length mismatch");
        }
        let answer = format!("OK - {}", bytes.len());
        upload.bytes = Some(bytes);
        Reply::of(200, "text/plain", answer)
    }

    /// Without a good token Slack answers 200 with its login page.
    fn file(&self, id: &str, request: &Request) -> Reply {
        let state = self.lock();
        if authorized(&state, request.authorization.as_deref(), None).is_err() {
            return Reply::of(
                200,
                "text/html; charset=utf-8",
                "<!DOCTYPE html><html>Sign in to Slack</html>",
            );
        }
        match state.uploads.get(id).and_then(|upload| upload.bytes.clone()) {
            Some(bytes) => Reply::of(200, "application/octet-stream", bytes),
            None => Reply::of(404, "text/html", "not found"),
        }
    }

    /// A file that a person has put into a message; its private URL.
    pub fn put_file(&self, name: &str, bytes: &[u8]) -> String {
        let mut state = self.lock();
        state.serial += 1;
        let id = format!("F{}", state.serial);
        let upload = super::workspace::Upload {
            name: name.into(),
            length: bytes.len() as u64,
            bytes: Some(bytes.to_vec()),
            shared: true,
        };
        state.uploads.insert(id.clone(), upload);
        format!("{}/api/files/{id}", state.url)
    }
}

/// The first trouble that is meant for this call.
fn trouble(state: &mut State, name: &str) -> Option<Trouble> {
    let at = state
        .troubles
        .iter()
        .position(|(method, _)| method.as_deref().is_none_or(|method| method == name))?;
    state.troubles.remove(at).map(|(_, trouble)| trouble)
}

fn answer(
    state: &mut State,
    name: &str,
    arguments: &Result<Map<String, Value>, Wrong>,
    request: &Request,
    trouble: Option<&Trouble>,
) -> (Reply, Value) {
    match trouble {
        Some(Trouble::RateLimited { seconds }) => return limited(Duration::from_secs((*seconds).into())),
        Some(Trouble::Status(status)) => {
            return (Reply::of(*status, "text/html", "<html>trouble</html>"), Value::Null);
        }
        Some(Trouble::Error(error)) => {
            let body = json!({ "ok": false, "error": error });
            return (Reply::json(200, &body), body);
        }
        Some(Trouble::CutBefore) => {
            let mut reply = Reply::of(500, "text/plain", "");
            reply.cut = true;
            return (reply, Value::Null);
        }
        _ => {}
    }
    let mut body = match outcome(state, name, arguments, request) {
        Ok(body) => body,
        Err(wait) => return limited(wait),
    };
    let mut reply = Reply::json(200, &body);
    reply.headers.push(("x-oauth-scopes".into(), state.scopes.join(",")));
    match trouble {
        Some(Trouble::StatusAfter(status)) => {
            reply = Reply::of(*status, "text/html", "<html>trouble</html>");
            body = Value::Null;
        }
        Some(Trouble::Slow(delay)) => reply.delay = *delay,
        Some(Trouble::Cut) => reply.cut = true,
        _ => {}
    }
    (reply, body)
}

/// docs.slack.dev/apis/web-api/rate-limits: 429, and whole seconds.
fn limited(wait: Duration) -> (Reply, Value) {
    let body = json!({ "ok": false, "error": "ratelimited" });
    let mut reply = Reply::json(429, &body);
    let seconds = wait.as_secs_f64().ceil();
    reply.headers.push(("retry-after".into(), seconds.to_string()));
    (reply, body)
}

/// The answer's body. The error: it is over its rate for so long.
fn outcome(
    state: &mut State,
    name: &str,
    arguments: &Result<Map<String, Value>, Wrong>,
    request: &Request,
) -> Result<Value, Duration> {
    let mut over = None;
    let done = (|| {
        let arguments = arguments.as_ref().map_err(|w| Wrong {
            error: w.error.clone(),
            messages: w.messages.clone(),
        })?;
        if name == "apps.connections.open" {
            return super::socket::open(state, request);
        }
        let token = arguments.get("token").and_then(Value::as_str);
        if name != "api.test" {
            authorized(state, request.authorization.as_deref(), token)?;
        }
        let channel = arguments.get("channel").and_then(Value::as_str).unwrap_or_default();
        if let Some(scope) = method::scope(name, channel)
            && !state.scopes.iter().any(|has| has == scope)
        {
            return Err(Wrong {
                error: "missing_scope".into(),
                messages: vec![scope.into()],
            });
        }
        if let Some(count) = rate::of(name, channel)
            && let Err((_, wait)) = state.meter.take(&[count])
        {
            over = Some(wait);
            return Err(wrong("ratelimited"));
        }
        method::call(state, name, arguments)
    })();
    if let Some(wait) = over {
        return Err(wait);
    }
    Ok(match done {
        Ok(mut body) => {
            body["ok"] = true.into();
            body
        }
        Err(Wrong { error, messages }) => {
            let mut body = json!({ "ok": false, "error": error });
            if error == "unknown_method" {
                body["req_method"] = name.into();
            } else if error == "missing_scope" {
                body["needed"] = messages.first().cloned().unwrap_or_default().into();
                body["provided"] = state.scopes.join(",").into();
            } else if !messages.is_empty() {
                let messages: Vec<String> = messages.iter().map(|m| format!("[ERROR] {m}")).collect();
                body["response_metadata"] = json!({ "messages": messages });
            }
            body
        }
    })
}

fn authorized(state: &State, header: Option<&str>, field: Option<&str>) -> Result<(), Wrong> {
    let token = header
        .and_then(|value| value.strip_prefix("Bearer "))
        .or(field)
        .unwrap_or_default();
    if token.is_empty() {
        return Err(wrong("not_authed"));
    }
    if token != state.token {
        return Err(wrong("invalid_auth"));
    }
    if state.revoked {
        Err(wrong("token_revoked"))
    } else {
        Ok(())
    }
}

/// Arguments from the query and the body. Bodies: docs.slack.dev/apis/web-api (JSON with writing methods only).
fn arguments(name: &str, query: &str, request: &Request) -> Result<Map<String, Value>, Wrong> {
    let mut all = form(query.as_bytes());
    if request.method != "POST" || request.body.is_empty() {
        return Ok(all);
    }
    let kind = request
        .content_type
        .as_deref()
        .ok_or_else(|| wrong("missing_post_type"))?;
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-www-form-urlencoded" => all.extend(form(&request.body)),
        "application/json" => match serde_json::from_slice(&request.body) {
            // Methods that read ignore it.
            Ok(Value::Object(fields)) if !method::reads(name) => all.extend(fields),
            Ok(Value::Object(_)) => {}
            Ok(_) => return Err(wrong("json_not_object")),
            Err(_) => return Err(wrong("invalid_json")),
        },
        "multipart/form-data" => return Err(wrong("invalid_form_data")),
        _ => return Err(wrong("invalid_post_type")),
    }
    Ok(all)
}

fn form(text: &[u8]) -> Map<String, Value> {
    url::form_urlencoded::parse(text)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect()
}
