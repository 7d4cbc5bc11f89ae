//! Whether a webhook's call is Feishu's, and what it says in plain words.
//!
//! With an encrypt key, the call carries the digest of timestamp, nonce, key and raw body, and the body is encrypted.
//! Without one, the verification token stands in the body. A card's callback of the old kind is signed with that token.
//! Source: open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case
//! and .../card-callback-structure. The vendor does not say whether a repeated call is signed anew, so no timestamp is
//! too old; repeated events are found by their id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use botyard_sdk::crypto::Piece;
use botyard_sdk::http::header;
use botyard_sdk::json::str_at;
use botyard_sdk::manifest::Digest;
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::{Error, Event};

/// The secrets, which nobody here sees.
pub trait Vault {
    /// # Errors
    /// `unauthorized`: the secret is not set.
    fn hash(&self, digest: Digest, pieces: &[Piece]) -> Result<Vec<u8>, Error>;
    /// In constant time.
    ///
    /// # Errors
    /// `unauthorized`: the secret is not set.
    fn matches(&self, secret: &str, candidate: &str) -> Result<bool, Error>;
    /// AES-256-CBC under the digest of the encrypt key, the vector in front.
    ///
    /// # Errors
    /// `unauthorized`: there is no encrypt key; `malformed`: it is not encrypted with this key.
    fn decrypt(&self, data: &[u8]) -> Result<Vec<u8>, Error>;
}

/// What a call came to.
#[derive(Debug, PartialEq)]
pub enum Proven {
    /// Feishu tries the address; it wants this within a second.
    Challenge(Value),
    Event(Value),
}

fn forged(why: &str) -> Error {
    Error::Unauthorized(why.into())
}

/// The event of a call, in plain words.
///
/// # Errors
/// `unauthorized`: it is not Feishu's, or a secret is missing; `malformed`: it cannot be read.
pub fn prove(vault: &impl Vault, event: &Event) -> Result<Proven, Error> {
    let outer = parse(&event.payload)?;
    let (body, encrypted) = match str_at(&outer, "/encrypt") {
        None => (outer, false),
        Some(data) => {
            let data = STANDARD
                .decode(data)
                .map_err(|error| Error::Malformed(format!("`encrypt` is no base64: {error}")))?;
            (parse(&vault.decrypt(&data)?)?, true)
        }
    };
    if str_at(&body, "/type") == Some("url_verification") {
        // Nothing comes of it but its own words, so what is encrypted with our key is proof enough.
        if !encrypted && !token(vault, &body)? {
            return Err(forged("the verification token is another"));
        }
        return Ok(Proven::Challenge(json!({ "challenge": str_at(&body, "/challenge") })));
    }
    match signed(vault, event, Digest::Sha256, "encrypt_key") {
        Ok(true) => return Ok(Proven::Event(body)),
        // There is an encrypt key, so everything but an old card's callback carries its signature.
        Ok(false) if !is_old_card(&body) => return Err(forged("the signature is wrong")),
        Ok(false) | Err(Error::Unauthorized(_)) => {}
        Err(error) => return Err(error),
    }
    if is_old_card(&body) {
        return if signed(vault, event, Digest::Sha1, "verification_token")? {
            Ok(Proven::Event(body))
        } else {
            Err(forged("the signature is wrong"))
        };
    }
    if token(vault, &body)? {
        Ok(Proven::Event(body))
    } else {
        Err(forged("the verification token is another"))
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed(format!("the body is no JSON: {error}")))
}

fn is_old_card(body: &Value) -> bool {
    body.get("header").is_none() && body.get("action").is_some() && body.get("open_message_id").is_some()
}

/// The token stands in the header of an event, or at the top of a challenge.
fn token(vault: &impl Vault, body: &Value) -> Result<bool, Error> {
    match str_at(body, "/header/token").or(str_at(body, "/token")) {
        Some(token) => vault.matches("verification_token", token),
        None => Ok(false),
    }
}

fn signed(vault: &impl Vault, event: &Event, digest: Digest, secret: &str) -> Result<bool, Error> {
    let of = |name: &str| Piece::Bytes(header(&event.headers, name).unwrap_or_default().as_bytes().to_vec());
    let pieces = [
        of("X-Lark-Request-Timestamp"),
        of("X-Lark-Request-Nonce"),
        Piece::Secret(secret.into()),
        Piece::Bytes(event.payload.clone()),
    ];
    let right: String = vault
        .hash(digest, &pieces)?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let given = header(&event.headers, "X-Lark-Signature").unwrap_or_default();
    // Every byte is looked at.
    let differences = right.bytes().zip(given.bytes()).filter(|(a, b)| a != b).count();
    Ok(right.len() == given.len() && differences == 0)
}

#[cfg(test)]
mod tests;
