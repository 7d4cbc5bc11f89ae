//! A secret that the vendor sends along: compared, and taken out of the event.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::{Refused, values};
use crate::chat::Event;
use crate::crypto;
use crate::crypto::redact::Needles;
use crate::manifest::{Placement, Slot};

/// Compares what stands at the placement with `secret` and takes it out; a JSON member stays, as an empty text. What
/// is elsewhere in the event the same text is blanked too.
pub(super) fn take(placement: &Placement, secret: &str, url: &str, event: &mut Event) -> Result<(), Refused> {
    let same = |candidate: &str| crypto::equal(candidate.as_bytes(), secret.as_bytes());
    let right = match &placement.slot {
        Slot::Header(name, prefix) => {
            let right = values(&event.headers, name).any(|v| v.strip_prefix(prefix.as_str()).is_some_and(same));
            event.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
            right
        }
        Slot::BasicUser | Slot::BasicPassword => {
            let user = placement.slot == Slot::BasicUser;
            let right = values(&event.headers, "authorization").any(|v| basic(v, user).is_some_and(|part| same(&part)));
            event.headers.retain(|(n, _)| !n.eq_ignore_ascii_case("authorization"));
            right
        }
        Slot::Query(name) => {
            let (right, rest) = without_parameter(&event.query, name, same);
            event.query = rest;
            right
        }
        Slot::FormField(name) => {
            let form = std::str::from_utf8(&event.payload).map_err(|_| Refused::Signature)?;
            let (right, rest) = without_parameter(form, name, same);
            event.payload = rest.into_bytes();
            right
        }
        Slot::JsonPointer(pointer, prefix) => {
            let body = std::str::from_utf8(&event.payload).map_err(|_| Refused::Signature)?;
            let place = json_place(body, pointer).ok_or(Refused::Signature)?;
            let value: String = serde_json::from_str(&body[place.clone()]).map_err(|_| Refused::Signature)?;
            event.payload.splice(place, *b"\"\"");
            value.strip_prefix(prefix.as_str()).is_some_and(same)
        }
        Slot::Frame(_) => false,
        Slot::PathSegment(index, prefix) => url::Url::parse(url).is_ok_and(|url| {
            let segment = url
                .path_segments()
                .and_then(|mut s| s.nth(*index as usize))
                .unwrap_or_default();
            percent_decoded(segment).strip_prefix(prefix.as_str()).is_some_and(same)
        }),
    };
    if !right {
        return Err(Refused::Signature);
    }
    let needles = Needles::of_secrets([secret]);
    needles.blank(&mut event.payload);
    event.query = needles.blank_text(std::mem::take(&mut event.query));
    for (_, value) in &mut event.headers {
        *value = needles.blank_text(std::mem::take(value));
    }
    Ok(())
}

fn basic(value: &str, user: bool) -> Option<String> {
    let (scheme, encoded) = value.split_once(' ')?;
    let text = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| STANDARD.decode(encoded.trim()).ok())??;
    let text = String::from_utf8(text).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(if user { name } else { password }.to_owned())
}

fn percent_decoded(segment: &str) -> Cow<'_, str> {
    // A plus is a plus in a path: form decoding would make a space of it.
    let text = segment.replace('+', "%2B");
    let decoded = url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned());
    Cow::Owned(decoded.unwrap_or_default())
}

/// Whether a parameter of that name has the right value, and the text without the parameters of that name; the
/// others stay byte for byte.
fn without_parameter(text: &str, name: &str, same: impl Fn(&str) -> bool) -> (bool, String) {
    let mut right = false;
    let rest: Vec<&str> = text
        .split('&')
        .filter(|pair| match url::form_urlencoded::parse(pair.as_bytes()).next() {
            Some((n, value)) if n == name => {
                right |= same(&value);
                false
            }
            _ => true,
        })
        .collect();
    (right, rest.join("&"))
}

/// Where in a JSON text the value stands that an RFC 6901 pointer names.
fn json_place(body: &str, pointer: &str) -> Option<Range<usize>> {
    let mut value: &RawValue = serde_json::from_str(body).ok()?;
    let mut tokens = pointer.split('/');
    if tokens.next() != Some("") {
        return None;
    }
    for token in tokens {
        let token = token.replace("~1", "/").replace("~0", "~");
        let text = value.get();
        value = if text.starts_with('{') {
            let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).ok()?;
            members.get(token.as_str()).copied()?
        } else {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            items.get(token.parse::<usize>().ok()?).copied()?
        };
    }
    let start = (value.get().as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    Some(start..start + value.get().len())
}
