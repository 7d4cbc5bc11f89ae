//! Speaks to a hook as Feishu does: encrypted and signed where there is an encrypt key, within a time.
//!
//! Source: open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::hook::{self, Heard};

/// Feishu waits three seconds; for a challenge one.
const PATIENCE: Duration = Duration::from_secs(3);
const CHALLENGE: Duration = Duration::from_secs(1);

/// Sends to one URL, `http://127.0.0.1:PORT/...`.
#[derive(Debug, Clone)]
pub struct Sender {
    pub url: String,
    /// None: calls are plain, and the verification token is all that proves them.
    pub encrypt_key: Option<String>,
    pub token: String,
}

impl Sender {
    /// With the encrypt key.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            encrypt_key: Some(super::ENCRYPT_KEY.into()),
            token: super::VERIFICATION_TOKEN.into(),
        }
    }

    #[must_use]
    pub fn plain(mut self) -> Self {
        self.encrypt_key = None;
        self
    }

    /// Feishu tries the address.
    ///
    /// # Errors
    /// No answer within a second, or no connection.
    pub async fn challenge(&self, word: &str) -> std::io::Result<Heard> {
        self.send(&self.call(&Self::challenge_body(word, &self.token)), CHALLENGE)
            .await
    }

    /// What a challenge says.
    pub fn challenge_body(word: &str, token: &str) -> Value {
        json!({ "challenge": word, "token": token, "type": "url_verification" })
    }

    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn event(&self, event: &Value) -> std::io::Result<Heard> {
        self.send(&self.call(event), PATIENCE).await
    }

    /// A card's callback of the old kind: plain, and signed with the verification token.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn old_card(&self, body: &Value) -> std::io::Result<Heard> {
        self.send(&self.old_card_call(body), PATIENCE).await
    }

    /// The call of an event or of a challenge.
    pub fn call(&self, body: &Value) -> Call {
        self.call_of(&body.to_string())
    }

    /// The call of a body that may be none of Feishu's.
    pub fn call_of(&self, body: &str) -> Call {
        let Some(key) = &self.encrypt_key else {
            return Call::new(body.to_owned(), None);
        };
        let body = json!({ "encrypt": encrypt(key, body) }).to_string();
        let signature = hex::encode(Sha256::digest(format!("{STAMP}{NONCE}{key}{body}")));
        Call::new(body, Some(signature))
    }

    /// The call of a card of the old kind.
    pub fn old_card_call(&self, body: &Value) -> Call {
        let body = body.to_string();
        let signature = hex::encode(Sha1::digest(format!("{STAMP}{NONCE}{}{body}", self.token)));
        Call::new(body, Some(signature))
    }

    /// Sends a call as it is.
    ///
    /// # Errors
    /// No answer in time, or no connection.
    pub async fn send(&self, call: &Call, limit: Duration) -> std::io::Result<Heard> {
        let headers = call.headers.iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        hook::post(&self.url, &headers, call.body.as_bytes(), limit).await
    }
}

/// A call to a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Call {
    fn new(body: String, signature: Option<String>) -> Self {
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned()),
            ("X-Lark-Request-Timestamp".to_owned(), STAMP.to_owned()),
            ("X-Lark-Request-Nonce".to_owned(), NONCE.to_owned()),
        ];
        headers.extend(signature.map(|signature| ("X-Lark-Signature".to_owned(), signature)));
        Self { headers, body }
    }
}

const STAMP: &str = "1700000000";
const NONCE: &str = "fake-nonce";

/// AES-256-CBC under the digest of the key, the vector in front.
fn encrypt(key: &str, text: &str) -> String {
    let key: [u8; 32] = Sha256::digest(key).into();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let vector = now.to_be_bytes();
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&key.into(), &vector.into());
    let mut room = text.as_bytes().to_vec();
    room.resize(text.len() + vector.len(), 0);
    let encrypted = cipher.encrypt_padded::<Pkcs7>(&mut room, text.len());
    let encrypted = encrypted.expect("a block's room is enough");
    STANDARD.encode([&vector, encrypted].concat())
}
