//! Secrets by slot: which may go where, and putting them in at the last moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::allow::{Allowed, Target};
use crate::chat::{CallError, Headers};
use crate::config::SecretText;
use crate::crypto::redact::percent_encoded;
use crate::manifest::{Placement, Slot};

/// A secret of the manifest, or a minted token.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) targets: Vec<Target>,
    /// Where a guest may place it.
    pub(crate) slots: Vec<Slot>,
}

/// What the request is made of before the secrets are in it; used again when it is repeated.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) method: reqwest::Method,
    pub(crate) allowed: Allowed,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content,
    pub(crate) placements: Vec<Placement>,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Empty,
    Bytes(Bytes),
    File(std::path::PathBuf),
    Multipart(Arc<Vec<Part>>, Vec<(String, SecretText)>),
}

#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) content: PartContent,
}

#[derive(Debug)]
pub(crate) enum PartContent {
    Bytes(Bytes),
    File(std::path::PathBuf),
}

/// The values of a request's placements, by name.
pub(crate) type Values = BTreeMap<String, SecretText>;

/// With the secrets in it: never shown, never kept.
pub(crate) struct Filled {
    pub(crate) method: reqwest::Method,
    pub(crate) url: Url,
    pub(crate) private: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content,
}

fn rejected(text: impl Into<String>) -> CallError {
    CallError::Rejected(text.into())
}

pub(crate) fn same_slot(a: &Slot, b: &Slot) -> bool {
    match (a, b) {
        (Slot::Header(a, p), Slot::Header(b, q)) => a.eq_ignore_ascii_case(b) && p == q,
        _ => a == b,
    }
}

/// Set by the host or by the protocol; `accept-encoding` too, because what the host cannot unpack it cannot redact.
const NOT_FOR_GUESTS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
];

/// A guest's headers: none that the host or the protocol sets, none that a slot of this request fills.
pub(crate) fn headers_of_guest(headers: &Headers, placements: &[Placement]) -> Result<HeaderMap, CallError> {
    let mut out = HeaderMap::with_capacity(headers.len() + placements.len());
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        let filled = placements.iter().any(|p| match &p.slot {
            Slot::Header(slot, _) => slot.eq_ignore_ascii_case(&lower),
            Slot::BasicUser | Slot::BasicPassword => lower == "authorization",
            _ => false,
        });
        let protocol = lower.starts_with("proxy-") || lower.starts_with("sec-websocket-");
        if filled || protocol || NOT_FOR_GUESTS.contains(&lower.as_str()) {
            return Err(rejected(format!("the header `{lower}` is not for the adapter to set")));
        }
        let name = HeaderName::try_from(lower).map_err(|_| rejected("a header's name cannot be used"))?;
        let value = HeaderValue::try_from(value.as_str())
            .map_err(|_| rejected(format!("the value of the header `{name}` cannot be used")))?;
        out.append(name, value);
    }
    Ok(out)
}

/// Puts every secret in its place. The whole URL, as it will be called, must be below one of each secret's targets.
pub(crate) fn fill(draft: &Draft, values: &Values, rules: &BTreeMap<String, Rule>) -> Result<Filled, CallError> {
    let mut filled = Filled {
        method: draft.method.clone(),
        url: draft.allowed.url.clone(),
        private: draft.allowed.private,
        headers: draft.headers.clone(),
        body: draft.body.clone(),
    };
    let (mut user, mut password) = (None, None);
    for placement in &draft.placements {
        let value = values
            .get(&placement.secret)
            .ok_or_else(|| CallError::Unauthorized(format!("the secret `{}` is not configured", placement.secret)))?;
        let text = value.reveal();
        match &placement.slot {
            Slot::Header(name, prefix) => {
                let name = HeaderName::try_from(name.as_str()).map_err(|_| rejected("a slot's header has no name"))?;
                filled
                    .headers
                    .insert(name, sensitive(&format!("{prefix}{text}"), &placement.secret)?);
            }
            Slot::BasicUser => user = Some(text),
            Slot::BasicPassword => password = Some(text),
            Slot::Query(name) => {
                let query = with_parameter(filled.url.query().unwrap_or_default(), name, text);
                filled.url.set_query(Some(&query));
            }
            Slot::PathSegment(index, prefix) => {
                segment(
                    &mut filled.url,
                    draft.allowed.own_path + *index as usize,
                    prefix,
                    text,
                    &placement.secret,
                )?;
            }
            Slot::JsonPointer(pointer, prefix) => {
                filled.body = with_json(&filled.body, pointer, &format!("{prefix}{text}"))?;
            }
            Slot::Frame(_) => return Err(rejected("a request has no frame to put a secret into")),
            Slot::FormField(name) => filled.body = with_field(filled.body, &mut filled.headers, name, value)?,
        }
    }
    if user.is_some() || password.is_some() {
        let both = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
        filled.headers.insert(
            AUTHORIZATION,
            sensitive(&format!("Basic {}", STANDARD.encode(both)), "basic")?,
        );
    }
    for placement in &draft.placements {
        let covered = rules
            .get(&placement.secret)
            .is_some_and(|r| r.targets.iter().any(|t| t.covers(&filled.url)));
        if !covered {
            return Err(rejected(format!(
                "the secret `{}` may not go to this url",
                placement.secret
            )));
        }
    }
    Ok(filled)
}

fn sensitive(value: &str, name: &str) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| CallError::Unauthorized(format!("the secret `{name}` has characters that no header takes")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The parameter, once, at the end; the others stay byte for byte.
fn with_parameter(query: &str, name: &str, value: &str) -> String {
    let others = query.split('&').filter(|pair| {
        !pair.is_empty()
            && url::form_urlencoded::parse(pair.as_bytes())
                .next()
                .is_none_or(|(n, _)| n != name)
    });
    let mut out = others.collect::<Vec<_>>().join("&");
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(&percent_encoded(name, b""));
    out.push('=');
    out.push_str(&percent_encoded(value, b""));
    out
}

/// Puts it in the place of the segment that stands there.
fn segment(url: &mut Url, index: usize, prefix: &str, value: &str, name: &str) -> Result<(), CallError> {
    let text = percent_encoded(&format!("{prefix}{value}"), b":");
    if text.is_empty() || text.bytes().all(|b| b == b'.') {
        return Err(CallError::Unauthorized(format!(
            "the secret `{name}` cannot be a part of a path"
        )));
    }
    let path = url.path().to_owned();
    let mut segments: Vec<&str> = path.split('/').skip(1).collect();
    let place = segments
        .get_mut(index)
        .ok_or_else(|| rejected("the path has no segment where the secret goes"))?;
    *place = &text;
    url.set_path(&format!("/{}", segments.join("/")));
    Ok(())
}

/// A JSON text with the secret at the pointer: in place of what stands there, or as a new member of an object.
pub(crate) fn json_with(text: &[u8], pointer: &str, secret: &str) -> Result<Vec<u8>, CallError> {
    use serde_json::Value;
    let no_place = || rejected(format!("the body has no place `{pointer}` for the secret"));
    let mut body: Value = serde_json::from_slice(text).map_err(|_| rejected("the body is not JSON"))?;
    if let Some(place) = body.pointer_mut(pointer) {
        *place = Value::String(secret.to_owned());
    } else {
        let (parent, member) = pointer.rsplit_once('/').ok_or_else(no_place)?;
        let parent = body
            .pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .ok_or_else(no_place)?;
        parent.insert(
            member.replace("~1", "/").replace("~0", "~"),
            Value::String(secret.to_owned()),
        );
    }
    serde_json::to_vec(&body).map_err(|_| no_place())
}

fn with_json(body: &Content, pointer: &str, secret: &str) -> Result<Content, CallError> {
    match body {
        Content::Bytes(bytes) => Ok(Content::Bytes(json_with(bytes, pointer, secret)?.into())),
        Content::Empty => Ok(Content::Bytes(json_with(b"{}", pointer, secret)?.into())),
        Content::File(_) | Content::Multipart(..) => Err(rejected("the body is not JSON")),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn with_field(body: Content, headers: &mut HeaderMap, name: &str, value: &SecretText) -> Result<Content, CallError> {
    let form = match body {
        Content::Empty => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(FORM));
            String::new()
        }
        Content::Bytes(bytes) => {
            let is_form = headers
                .get(CONTENT_TYPE)
                .and_then(|t| t.to_str().ok())
                .is_some_and(|t| t.starts_with(FORM));
            let text = std::str::from_utf8(&bytes).ok().filter(|_| is_form);
            text.ok_or_else(|| rejected("the body is no form"))?.to_owned()
        }
        Content::Multipart(parts, mut fields) => {
            if parts.iter().any(|part| part.name == name) {
                return Err(rejected(format!("the field `{name}` is not for the adapter to set")));
            }
            fields.push((name.to_owned(), value.clone()));
            return Ok(Content::Multipart(parts, fields));
        }
        Content::File(_) => return Err(rejected("the body is no form")),
    };
    Ok(Content::Bytes(with_parameter(&form, name, value.reveal()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_takes_a_secret_at_a_pointer() {
        let with =
            |text: &str, pointer: &str| json_with(text.as_bytes(), pointer, "S").map(|b| String::from_utf8(b).unwrap());
        assert_eq!(with(r#"{"a":{"b":1}}"#, "/a/b").as_deref(), Ok(r#"{"a":{"b":"S"}}"#));
        assert_eq!(with(r#"{"a":{}}"#, "/a/x~1y").as_deref(), Ok(r#"{"a":{"x/y":"S"}}"#));
        assert_eq!(with(r#"[0,[1]]"#, "/1/0").as_deref(), Ok(r#"[0,["S"]]"#));
        for (text, pointer) in [
            ("{}", "/a/b"),
            ("[]", "/0"),
            ("{", "/a"),
            (r#"{"a":1}"#, "/a/b"),
            ("{}", "a"),
        ] {
            assert!(
                matches!(with(text, pointer), Err(CallError::Rejected(_))),
                "{text} {pointer}"
            );
        }
    }

    #[test]
    fn a_parameter_is_set_once_and_the_others_stay() {
        assert_eq!(with_parameter("", "k", "a b&c"), "k=a%20b%26c");
        assert_eq!(with_parameter("x=%41+&k=1&y&k=2", "k", "S"), "x=%41+&y&k=S");
    }

    #[test]
    fn a_segment_is_replaced_and_never_walks() {
        let put = |index, value: &str| {
            let mut url = Url::parse("https://h.example/v1/_/send?q").unwrap();
            segment(&mut url, index, "", value, "s").map(|()| url.to_string())
        };
        assert_eq!(put(1, "12:Ab-c").as_deref(), Ok("https://h.example/v1/12:Ab-c/send?q"));
        assert_eq!(
            put(1, "a/b?#c d%2e").as_deref(),
            Ok("https://h.example/v1/a%2Fb%3F%23c%20d%252e/send?q")
        );
        assert!(put(1, "..").is_err() && put(1, "").is_err() && put(3, "x").is_err());
    }

    #[test]
    fn guests_do_not_set_what_is_the_hosts() {
        let of = |name: &str, slots: &[Slot]| {
            let placements: Vec<Placement> = slots
                .iter()
                .map(|slot| Placement {
                    secret: "s".to_owned(),
                    slot: slot.clone(),
                })
                .collect();
            headers_of_guest(&vec![(name.to_owned(), "v".to_owned())], &placements).is_ok()
        };
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "CONNECTION",
            "Proxy-Authorization",
            "proxy-x",
            "accept-encoding",
            "Sec-WebSocket-Key",
            "upgrade",
            "",
            "a b",
            "a\r\nb",
        ] {
            assert!(!of(name, &[]), "{name}");
        }
        assert!(of("Authorization", &[]) && of("Cookie", &[]) && of("X-Token", &[]));
        assert!(!of("X-Token", &[Slot::Header("x-token".to_owned(), String::new())]));
        assert!(!of("authorization", &[Slot::BasicPassword]));
        let value = vec![("a".to_owned(), "x\r\nHost: evil".to_owned())];
        assert!(headers_of_guest(&value, &[]).is_err());
    }
}
