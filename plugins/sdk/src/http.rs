//! Requests with less to write: the host's `http` service, JSON in and out, errors by status.

use crate::manifest::{Placement, Slot};
use crate::raw_http::{Body, Request, Response, send};
use crate::types::{Error, Headers};

/// A call that is being put together.
#[derive(Debug, Clone)]
pub struct Call {
    request: Request,
}

/// A call to a vendor. `url` is whole, or begins with `/` and is below the bot's api-base.
pub fn call(method: &str, url: impl Into<String>) -> Call {
    Call {
        request: Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Body::Empty,
            secrets: Vec::new(),
            timeout_ms: None,
            repeatable: false,
            buckets: Vec::new(),
            wait_ms: 10_000,
            max_bytes: None,
        },
    }
}

impl Call {
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.request.headers.push((name.into(), value.into()));
        self
    }

    /// The host puts the secret after `Bearer ` into the `Authorization` header.
    #[must_use]
    pub fn bearer(self, secret: &str) -> Self {
        self.secret(secret, Slot::Header(("Authorization".into(), "Bearer ".into())))
    }

    #[must_use]
    pub fn secret(mut self, secret: &str, slot: Slot) -> Self {
        self.request.secrets.push(Placement {
            secret: secret.into(),
            slot,
        });
        self
    }

    /// A JSON body.
    #[must_use]
    pub fn json(mut self, body: &impl serde::Serialize) -> Self {
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        self.request.body = Body::Bytes(bytes);
        self.header("Content-Type", "application/json; charset=utf-8")
    }

    #[must_use]
    pub fn bytes(mut self, media_type: &str, body: Vec<u8>) -> Self {
        self.request.body = Body::Bytes(body);
        self.header("Content-Type", media_type)
    }

    /// Shares a rate limit with every call that names the same bucket.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.request.buckets.push(bucket.into());
        self
    }

    /// The vendor does it once however often it is sent.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.request.repeatable = true;
        self
    }

    /// How long it may wait for its buckets.
    #[must_use]
    pub fn wait_ms(mut self, wait_ms: u32) -> Self {
        self.request.wait_ms = wait_ms;
        self
    }

    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u32) -> Self {
        self.request.timeout_ms = Some(timeout_ms);
        self
    }

    /// The answer, whatever its status.
    ///
    /// # Errors
    /// No answer came, or the host refused to send.
    pub fn send(&self) -> Result<Response, Error> {
        send(&self.request)
    }
}

/// The first header of this name, in any case.
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// What a status that is not 2xx means to the caller; for vendors that use HTTP as it is meant.
pub fn error_of(response: &Response) -> Error {
    let text = || format!("status {}", response.status);
    match response.status {
        401 | 403 => Error::Unauthorized(text()),
        404 | 410 => Error::Gone(text()),
        413 => Error::TooLarge(0),
        429 => Error::RateLimited(
            header(&response.headers, "retry-after")
                .and_then(|s| s.parse::<u32>().ok())
                .map(|s| s.saturating_mul(1000)),
        ),
        500..=599 => Error::Unavailable(text()),
        _ => Error::Rejected(text()),
    }
}
