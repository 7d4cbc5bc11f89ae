//! One HTTP request to the REST API: token, trouble, rate, route, record.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::check::{Wrong, wrong};
use super::route;
use super::world::{Call, State, Trouble, World};
use crate::rate::Rate;
use crate::served::{Part, Reply, Request, parts};

fn json_reply(status: u16, body: &Value) -> Reply {
    // A 204 with a JSON content type breaks Discord's own clients.
    if body.is_null() {
        return Reply::new(if status == 200 { 204 } else { status }, Vec::new(), Vec::new());
    }
    Reply::of(status, "application/json", body.to_string())
}

/// A request, read.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// Below `/api/v10`, in segments.
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) files: Vec<Part>,
}

impl Asked<'_> {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

impl World {
    /// Takes one request, as the server would.
    pub fn request(&self, request: &Request) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        // discord.js says `%40original`.
        let path = &path.replace("%40", "@");
        let reply = if let Some(rest) = path.strip_prefix("/api/v10/") {
            self.api(rest, query, request)
        } else if let Some(rest) = path.strip_prefix("/attachments/") {
            self.cdn(rest)
        } else {
            json_reply(404, &json!({ "message": "404: Not Found", "code": 0 }))
        };
        self.touched();
        reply
    }

    fn cdn(&self, path: &str) -> Reply {
        let state = self.lock();
        match state.cdn.get(path) {
            Some(bytes) => Reply::new(
                200,
                vec![("content-type".into(), super::world::media_type(path).into())],
                bytes.clone(),
            ),
            None => Reply::new(
                404,
                vec![("content-type".into(), "text/plain".into())],
                b"no longer available".to_vec(),
            ),
        }
    }

    fn api(&self, path: &str, query: &str, request: &Request) -> Reply {
        let mut state = self.lock();
        let (body, files) = read(request);
        let asked = Asked {
            method: &request.method,
            path: path.split('/').collect(),
            query: url::form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            body: body.clone().unwrap_or(Value::Null),
            files,
        };
        let name = format!("{} /{path}", request.method);
        let trouble = trouble(&mut state, &name);
        let (reply, answer) = answer(&mut state, &asked, body.is_none(), request, trouble.as_ref());
        state.calls.push(Call {
            name,
            body: asked.body,
            status: reply.status,
            answer,
            at: Instant::now(),
        });
        reply
    }
}

/// The first trouble that is meant for this call.
fn trouble(state: &mut State, name: &str) -> Option<Trouble> {
    let at = state.troubles.iter().position(|(part, _)| match part {
        Some(part) => name.contains(part.as_str()),
        None => !Call::is_beside(name),
    })?;
    state.troubles.remove(at).map(|(_, trouble)| trouble)
}

fn answer(
    state: &mut State,
    asked: &Asked<'_>,
    unreadable: bool,
    request: &Request,
    trouble: Option<&Trouble>,
) -> (Reply, Value) {
    match trouble {
        Some(Trouble::RateLimited { millis }) => return limited(Duration::from_millis(u64::from(*millis)), false),
        Some(Trouble::Status(status)) => {
            let headers = vec![("content-type".into(), "text/html".into())];
            return (
                Reply::new(*status, headers, b"<html>trouble</html>".to_vec()),
                Value::Null,
            );
        }
        Some(Trouble::Code(status, code)) => return refused(&wrong(*status, *code, "trouble")),
        Some(Trouble::CutBefore) => {
            let mut reply = Reply::new(500, Vec::new(), Vec::new());
            reply.cut = true;
            return (reply, Value::Null);
        }
        _ => {}
    }
    // Tickets stand in the URL of these: /interactions/receiving-and-responding#followup-messages.
    let by_ticket = matches!(asked.path.first(), Some(&("webhooks" | "interactions")));
    if !by_ticket && request.authorization.as_deref() != Some(&format!("Bot {}", state.token)) {
        return refused(&wrong(401, 0, "401: Unauthorized"));
    }
    if !by_ticket && let Err((_, pause)) = state.meter.take(&[("global".to_owned(), GLOBAL)]) {
        return limited(pause, true);
    }
    if unreadable {
        return refused(&wrong(400, 50109, "The request body contains invalid JSON."));
    }
    let mut headers = Vec::new();
    if let Some(bucket) = bucket(asked)
        && state.paced
    {
        match take(state, &bucket) {
            Ok(left) => headers = left,
            Err(pause) => return limited(pause, false),
        }
    }
    let (mut reply, mut answer) = match route::route(state, asked) {
        Ok(body) => (json_reply(200, &body), body),
        Err(wrong) => refused(&wrong),
    };
    reply.headers.extend(headers);
    match trouble {
        Some(Trouble::StatusAfter(status)) => {
            let headers = vec![("content-type".into(), "text/html".into())];
            reply = Reply::new(*status, headers, b"<html>trouble</html>".to_vec());
            answer = Value::Null;
        }
        Some(Trouble::Slow(delay)) => reply.delay = *delay,
        Some(Trouble::Cut) => reply.cut = true,
        _ => {}
    }
    (reply, answer)
}

fn refused(wrong: &Wrong) -> (Reply, Value) {
    let mut body = json!({ "message": wrong.message, "code": wrong.code });
    if let Some(errors) = &wrong.errors {
        body["errors"] = errors.clone();
    }
    (json_reply(wrong.status, &body), body)
}

/// /topics/rate-limits#exceeding-a-rate-limit
fn limited(pause: Duration, global: bool) -> (Reply, Value) {
    let seconds = pause.as_secs_f64();
    let body = json!({ "message": "You are being rate limited.", "retry_after": seconds, "global": global });
    let mut reply = json_reply(429, &body);
    reply
        .headers
        .push(("retry-after".into(), (seconds.ceil() as u64).to_string()));
    if global {
        // No bucket is spoken of.
        reply.headers.push(("x-ratelimit-global".into(), "true".into()));
        reply.headers.push(("x-ratelimit-scope".into(), "global".into()));
        return (reply, body);
    }
    reply.headers.push(("x-ratelimit-scope".into(), "user".into()));
    reply.headers.push(("x-ratelimit-remaining".into(), "0".into()));
    reply
        .headers
        .push(("x-ratelimit-reset-after".into(), format!("{seconds:.3}")));
    (reply, body)
}

/// /topics/rate-limits#global-rate-limit: 50 in a second, but for what has a ticket (interactions and their answers).
const GLOBAL: Rate = Rate::new(50, Duration::from_secs(1));
/// How many calls a bucket of a channel's messages takes, and in how long.
const BUCKET: (u32, Duration) = (5, Duration::from_secs(5));

/// Posts and edits of one channel share a bucket.
fn bucket(asked: &Asked<'_>) -> Option<String> {
    match (asked.method, asked.path.as_slice()) {
        ("POST" | "PATCH", ["channels", channel, "messages", ..]) => Some(format!("messages:{channel}")),
        _ => None,
    }
}

/// The headers of a call that goes through, or how long to wait.
fn take(state: &mut State, bucket: &str) -> Result<Vec<(String, String)>, Duration> {
    let now = Instant::now();
    let (end, used) = state.buckets.entry(bucket.to_owned()).or_insert((now + BUCKET.1, 0));
    if *end <= now {
        (*end, *used) = (now + BUCKET.1, 0);
    }
    let left = *end - now;
    if *used >= BUCKET.0 {
        return Err(left);
    }
    *used += 1;
    Ok(vec![
        ("x-ratelimit-limit".into(), BUCKET.0.to_string()),
        ("x-ratelimit-remaining".into(), (BUCKET.0 - *used).to_string()),
        ("x-ratelimit-reset-after".into(), format!("{:.3}", left.as_secs_f64())),
        ("x-ratelimit-bucket".into(), format!("{:032x}", bucket.len())),
    ])
}

/// The body as JSON, and the files of a form. None: it is neither.
fn read(request: &Request) -> (Option<Value>, Vec<Part>) {
    if request.body.is_empty() {
        return (Some(Value::Null), Vec::new());
    }
    let mut files = parts(request);
    if files.is_empty() {
        return (serde_json::from_slice(&request.body).ok(), files);
    }
    let payload = files.iter().find(|part| part.name == "payload_json");
    let body = payload.map_or_else(|| Some(json!({})), |part| serde_json::from_slice(&part.bytes).ok());
    files.retain(|part| part.name != "payload_json" && part.filename.is_some());
    (body, files)
}
