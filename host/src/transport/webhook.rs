//! Verifies a webhook call as its route says and makes an event of it.

use std::collections::BTreeMap;

use crate::chat::{Event, Headers, UnixMillis};
use crate::config::SecretText;
use crate::manifest::Route;

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

/// The event, without what was compared with a secret.
pub fn verify(_route: &Route, _secrets: &BTreeMap<String, SecretText>, _call: &Call<'_>) -> Result<Event, Refused> {
    todo!()
}
