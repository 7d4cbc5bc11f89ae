//! What an adapter says of itself (`describe`), in the host's words. What it may do is this and what the
//! operator granted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chat::{Answer, Headers};

/// Where in a request a secret goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slot {
    /// Header name and a prefix before the value.
    Header(String, String),
    Query(String),
    /// The n-th segment of the request's own path, from 0, and a prefix before the value.
    PathSegment(u32, String),
    /// RFC 6901 pointer into a JSON body or a JSON text frame, and a prefix before the value.
    JsonPointer(String, String),
    FormField(String),
    BasicUser,
    BasicPassword,
    /// A whole text frame of a socket: this prefix and the value.
    Frame(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub secret: String,
    pub slot: Slot,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSpec {
    pub name: String,
    pub purpose: String,
    /// URL prefixes that may ever receive it; one that begins with `/` is below the api-base.
    pub targets: Vec<String>,
    /// Where a guest may place it; empty: only the host uses it.
    pub slots: Vec<Slot>,
    /// Whether `crypto` may use it.
    pub crypto: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MintBody {
    Empty,
    Json(String),
    Form(Vec<(String, String)>),
}

/// An answer that means "token refused" although its status is not 401.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// RFC 6901 pointer.
    pub at: String,
    pub values: Vec<String>,
}

/// A token that the host mints from secrets, keeps, renews early, and uses like a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    pub name: String,
    pub method: String,
    pub url: String,
    pub headers: Headers,
    pub body: MintBody,
    pub placements: Vec<Placement>,
    /// RFC 6901 pointers into the answer.
    pub token_at: String,
    pub lifetime_seconds_at: Option<String>,
    pub refused: Option<Refusal>,
    pub targets: Vec<String>,
    pub slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Digest {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    Hex,
    Base64,
}

/// What is signed: pieces joined in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    Literal(String),
    Header(String),
    Query(String),
    Url,
    Body,
    Secret(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The HMAC key's secret; none = a plain digest of the pieces.
    pub key: Option<String>,
    pub digest: Digest,
    pub encoding: Encoding,
    pub header: String,
    pub prefix: String,
    pub signed: Vec<Piece>,
    pub timestamp_header: Option<String>,
    pub tolerance: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verification {
    Unverified,
    /// Compared in constant time; what was compared is taken out of the event.
    Shared(Placement),
    Signature(Signature),
    Ed25519 {
        public_key: String,
        header: String,
        signed: Vec<Piece>,
    },
    /// The guest checks with `crypto` and answers `unauthorized`.
    Guest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Below the bot's own path; may be empty.
    pub name: String,
    pub methods: Vec<String>,
    pub verification: Verification,
    pub max_body_bytes: u32,
    pub deadline: Duration,
    /// When there is no other answer by then, and the event is stored.
    pub fallback: Answer,
}

/// The transports that this host itself runs.
pub const MANAGED: [&str; 3] = ["web", "slack", "discord"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    Webhook(Vec<Route>),
    /// Run by the host: one of [`MANAGED`].
    Managed {
        name: String,
        options: Vec<(String, String)>,
    },
    /// The component exports `link`.
    Link,
}

/// A way to run the bot; the operator picks one, the first is the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    pub name: String,
    pub purpose: String,
    pub transports: Vec<Transport>,
    /// Secrets that this mode needs.
    pub secrets: Vec<String>,
}

/// `post` also stands for `post:ANYTHING`, each with its own count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub bucket: String,
    pub calls: u32,
    pub per: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub update_interval: Duration,
    pub updates_max: Option<u32>,
    pub refresh: Option<Duration>,
    pub upload_max_bytes: u32,
    pub rates: Vec<Rate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ability {
    Update,
    Threads,
    Buttons,
    Choices,
    Forms,
    FilesIn,
    FilesOut,
    Reactions,
    NativeStop,
    Commands,
    Whispers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingKind {
    Text,
    Flag,
    Number,
    Choice,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub name: String,
    pub kind: SettingKind,
    pub choices: Vec<String>,
    pub default: Option<String>,
    pub purpose: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Lower case, e.g. `slack`.
    pub platform: String,
    pub title: String,
    pub version: String,
    /// The vendor's API; none: the operator must set one.
    pub api_base: Option<String>,
    pub modes: Vec<Mode>,
    pub settings: Vec<Setting>,
    pub secrets: Vec<SecretSpec>,
    pub minted: Vec<Minted>,
    /// `https://host`, `wss://*.host`: what the guest may reach besides the api-base.
    pub egress: Vec<String>,
    pub limits: Limits,
    pub abilities: Vec<Ability>,
    pub extra: Vec<(String, String)>,
}
