//! The one way out: allow-list, secrets put in at the last moment, minted tokens, rate limits, retries, redaction.
//!
//! One pooled client for the process; an [`Outlet`] for each bot holds what that bot's adapter may reach.

mod allow;
mod rate;
pub(crate) mod redact;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::chat::{CallError, FileRef, Headers};
use crate::config::SecretText;
use crate::manifest::{About, Placement};

/// The process-wide part: client, name resolution, proxy.
#[derive(Debug, Clone)]
pub struct Egress {}

#[derive(Debug, Clone, Default)]
pub struct EgressSettings {
    pub proxy: Option<String>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EgressError(pub String);

/// What one bot's adapter may reach: its manifest and the operator's grants.
#[derive(Debug, Clone)]
pub struct Grant {
    pub bot: String,
    /// In force: the operator's or the manifest's. Always ends with `/`.
    pub api_base: String,
    /// The operator set `api_base`: its host may be private.
    pub api_base_by_operator: bool,
    pub about: Arc<About>,
    pub secrets: BTreeMap<String, SecretText>,
    /// `https://host[:port]` patterns that the operator added; their hosts may be private.
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Vec<u8>),
    /// A file of the host's: its path and size.
    File(PathBuf),
}

#[derive(Debug, Clone)]
pub struct FormPart {
    pub name: String,
    pub filename: Option<String>,
    pub media_type: Option<String>,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Body {
    Empty,
    Bytes(Vec<u8>),
    File(PathBuf),
    Multipart(Vec<FormPart>),
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Whole, or from `/`: below the api-base.
    pub url: String,
    pub headers: Headers,
    pub body: Body,
    pub secrets: Vec<Placement>,
    pub timeout: Option<Duration>,
    pub repeatable: bool,
    pub buckets: Vec<String>,
    pub wait: Duration,
    pub max_bytes: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub enum Downloaded {
    File(FileRef),
    Refused(Response),
}

/// A websocket to open.
#[derive(Debug, Clone)]
pub struct Opening {
    pub url: String,
    pub headers: Headers,
    pub protocols: Vec<String>,
    pub secrets: Vec<Placement>,
    pub ping_every: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Debug)]
pub enum OpenError {
    Refused { status: u16, headers: Headers },
    Failed(CallError),
}

/// A socket that the host holds.
#[derive(Debug)]
pub struct Socket {
    /// Bounded. A frame, with the secrets to put into it.
    pub send: tokio::sync::mpsc::Sender<(Frame, Vec<Placement>)>,
    /// Bounded. Ends with `Err((code, reason))`, once.
    pub receive: tokio::sync::mpsc::Receiver<Result<Frame, (u16, String)>>,
}

impl Egress {
    pub fn new(_settings: &EgressSettings) -> Result<Self, EgressError> {
        todo!()
    }
    /// Fails with every reason why this grant cannot be: a bad URL, a secret that no target may receive.
    pub fn outlet(&self, _grant: Grant) -> Result<Outlet, Vec<String>> {
        todo!()
    }
}

/// One bot's way out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet {}

impl Outlet {
    /// Sends, within the grant. An answer of any status is a response; an error says that none came.
    /// Cancel safe: a request that was not sent is not sent.
    pub async fn send(&self, _request: Request) -> Result<Response, CallError> {
        todo!()
    }
    /// The same; the body of a 2xx goes to `into` (a path the caller made), at most `max_bytes`.
    pub async fn download(&self, _request: Request, _into: PathBuf) -> Result<Result<u32, Response>, CallError> {
        todo!()
    }
    /// The vendor said in a body of its own that this bucket is empty for so long.
    pub fn hold(&self, _bucket: &str, _pause: Duration) {
        todo!()
    }
    /// How long the longest of these buckets still holds a call back.
    pub fn ready_in(&self, _buckets: &[String]) -> Duration {
        todo!()
    }
    pub async fn open(&self, _opening: Opening) -> Result<Socket, OpenError> {
        todo!()
    }
    /// Blanks every secret and minted token in a text that goes to a log or a guest.
    pub fn redact(&self, _text: &str) -> String {
        todo!()
    }
}
