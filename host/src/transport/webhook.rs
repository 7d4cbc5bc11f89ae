//! Verifies a webhook call as its route says and makes an event of it. Every comparison is in constant time, and
//! nothing of a call is ever logged here.

mod shared;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::chat::{Event, Headers, UnixMillis};
use crate::config::SecretText;
use crate::crypto;
use crate::manifest::{Encoding, Piece, Route, Signature, Verification};

/// A webhook call as it came.
#[derive(Debug)]
pub struct Call<'a> {
    pub method: &'a str,
    /// What vendors sign where they sign the URL: the public URL of the route with the query.
    pub url: &'a str,
    pub query: &'a str,
    pub headers: &'a Headers,
    pub body: &'a [u8],
    pub received: UnixMillis,
}

/// Why a call is refused. Logged without its content and counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the signature is missing or wrong")]
    Signature,
    #[error("the timestamp is missing or too old")]
    Stale,
    #[error("the secret `{0}` is not configured")]
    NoSecret(String),
}

/// Signatures that one call may carry: a vendor sends two while a key is changed.
const CANDIDATES: usize = 8;
/// Timestamps above this are milliseconds: as seconds it is the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

type Secrets = BTreeMap<String, SecretText>;

/// The event, without what was compared with a secret.
///
/// A header that is signed, or that carries the timestamp, must come once; of the signature's own header any value
/// may be the right one. `Unverified` and `Guest` routes are passed as they are.
pub fn verify(route: &Route, secrets: &Secrets, call: &Call<'_>) -> Result<Event, Refused> {
    let mut event = Event {
        transport: "webhook".to_owned(),
        name: route.name.clone(),
        method: call.method.to_owned(),
        query: call.query.to_owned(),
        headers: Headers::new(),
        payload: Vec::new(),
        received: call.received,
    };
    match &route.verification {
        Verification::Unverified | Verification::Guest => {}
        Verification::Signature(signature) => signed(signature, secrets, call)?,
        Verification::Ed25519 {
            public_key,
            header,
            signed,
        } => {
            let key = public_key_of(public_key, secrets)?;
            let message = joined(signed, secrets, call)?.concat();
            let right = candidates(call.headers, header, "").any(|candidate| {
                [Encoding::Hex, Encoding::Base64]
                    .into_iter()
                    .filter_map(|encoding| crypto::decode(encoding, candidate))
                    .any(|signature| crypto::ed25519_verify(&key, &message, &signature))
            });
            if !right {
                return Err(Refused::Signature);
            }
        }
        Verification::Shared(placement) => {
            event.headers.clone_from(call.headers);
            event.payload = call.body.to_vec();
            shared::take(placement, secret(secrets, &placement.secret)?, call.url, &mut event)?;
            return Ok(event);
        }
    }
    event.headers.clone_from(call.headers);
    event.payload = call.body.to_vec();
    Ok(event)
}

fn secret<'s>(secrets: &'s Secrets, name: &str) -> Result<&'s str, Refused> {
    // An empty secret would let everybody in.
    match secrets.get(name).map(SecretText::reveal) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(Refused::NoSecret(name.to_owned())),
    }
}

/// A secret's name (a vendor's public key differs from bot to bot), or else the key itself.
fn public_key_of(text: &str, secrets: &Secrets) -> Result<Vec<u8>, Refused> {
    let configured = secrets.get(text).map(SecretText::reveal);
    [Encoding::Hex, Encoding::Base64]
        .into_iter()
        .filter_map(|encoding| crypto::decode(encoding, configured.unwrap_or(text).trim()))
        .find(|key| key.len() == 32)
        .ok_or_else(|| Refused::NoSecret(text.to_owned()))
}

fn signed(signature: &Signature, secrets: &Secrets, call: &Call<'_>) -> Result<(), Refused> {
    if let Some(header) = &signature.timestamp_header {
        let stamp = once(call.headers, header).ok_or(Refused::Stale)?;
        fresh(stamp, call.received, signature.tolerance)?;
    }
    let pieces = joined(&signature.signed, secrets, call)?;
    let pieces: Vec<&[u8]> = pieces.iter().map(Cow::as_ref).collect();
    let expected = match &signature.key {
        Some(name) => crypto::hmac(signature.digest, secret(secrets, name)?.as_bytes(), &pieces),
        // Without a key and without a secret in it, anybody could compute it.
        None if !signature.signed.iter().any(|p| matches!(p, Piece::Secret(_))) => return Err(Refused::Signature),
        None => crypto::digest(signature.digest, &pieces),
    };
    let right = candidates(call.headers, &signature.header, &signature.prefix)
        .filter_map(|candidate| crypto::decode(signature.encoding, candidate))
        .any(|candidate| crypto::equal(&candidate, &expected));
    if right { Ok(()) } else { Err(Refused::Signature) }
}

/// Within the tolerance, before or after: clocks differ in both directions.
fn fresh(stamp: &str, received: UnixMillis, tolerance: Duration) -> Result<(), Refused> {
    let stamp = stamp.trim();
    if stamp.is_empty() || !stamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refused::Stale);
    }
    let number: i64 = stamp.parse().map_err(|_| Refused::Stale)?;
    let millis = if number < MILLISECONDS_FROM {
        number * 1000
    } else {
        number
    };
    let tolerance = u64::try_from(tolerance.as_millis()).unwrap_or(u64::MAX);
    if received.abs_diff(millis) <= tolerance {
        Ok(())
    } else {
        Err(Refused::Stale)
    }
}

/// The values of a header.
fn values<'h>(headers: &'h Headers, name: &'h str) -> impl Iterator<Item = &'h str> {
    headers
        .iter()
        .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.as_str())
}

/// None also when it came twice: which of them was meant, the vendor's and our reading could differ.
fn once<'h>(headers: &'h Headers, name: &'h str) -> Option<&'h str> {
    let mut values = values(headers, name);
    values.next().filter(|_| values.next().is_none())
}

/// What may be the signature: every value of the header, and the parts of one that is a list.
fn candidates<'h>(headers: &'h Headers, name: &'h str, prefix: &'h str) -> impl Iterator<Item = &'h str> {
    values(headers, name)
        .flat_map(|value| value.split([',', ' ']))
        .filter(|part| !part.is_empty())
        .filter_map(move |part| part.strip_prefix(prefix))
        .take(CANDIDATES)
}

/// Parameters of a query or a form, by name; decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut found = url::form_urlencoded::parse(query.as_bytes()).filter(|(n, _)| n == name);
    let value = found.next()?.1.into_owned();
    found.next().is_none().then_some(value)
}

fn joined<'c>(pieces: &'c [Piece], secrets: &'c Secrets, call: &Call<'c>) -> Result<Vec<Cow<'c, [u8]>>, Refused> {
    let text = |text: &'c str| Cow::Borrowed(text.as_bytes());
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(literal) => Ok(text(literal)),
            Piece::Header(name) => once(call.headers, name).map(text).ok_or(Refused::Signature),
            Piece::Query(name) => parameter(call.query, name)
                .map(|v| Cow::Owned(v.into_bytes()))
                .ok_or(Refused::Signature),
            Piece::Url => Ok(text(call.url)),
            Piece::Body => Ok(Cow::Borrowed(call.body)),
            Piece::Secret(name) => Ok(text(secret(secrets, name)?)),
        })
        .collect()
}
