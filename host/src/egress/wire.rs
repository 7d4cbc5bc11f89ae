//! One exchange with a vendor: sends what is filled in, reads the answer within its cap, blanks secrets as the bytes
//! come, and says of a failure whether anything can have arrived.

use std::error::Error as _;
use std::path::Path;

use reqwest::Client;
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use super::resolve::{OnlyPrivate, is_only_private};
use super::secret::{Content, Filled, PartContent};
use crate::chat::Headers;
use crate::crypto::redact::{Needles, Stream};

/// Why an exchange brought no answer. Texts have no URL in them.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was sent.
    Connect(String),
    /// Nothing was sent, and nothing ever will be: this address is not for the bot.
    Private,
    /// Nothing was sent: a file of ours, or what the guest made, cannot be sent.
    Local(String),
    /// It may have arrived.
    Broken(String),
    TooLarge(u32),
}

#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    /// As they came: the host reads them, a guest gets [`Got::shown`].
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Bytes that went to the file.
    pub(crate) filed: Option<u32>,
    /// What was called.
    pub(crate) url: Url,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
    }

    pub(crate) fn shown(&self, needles: &Needles) -> Headers {
        headers_shown(&self.headers, needles)
    }
}

pub(crate) fn headers_shown(headers: &HeaderMap, needles: &Needles) -> Headers {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), needles.blank_text(value))
        })
        .collect()
}

/// An error and its causes in one line, without the URL.
pub(crate) fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn failed(error: reqwest::Error) -> Failure {
    if is_only_private(&error) {
        Failure::Private
    } else if error.is_connect() {
        Failure::Connect(told(error))
    } else if error.is_builder() {
        Failure::Local(told(error))
    } else {
        Failure::Broken(told(error))
    }
}

async fn file(path: &Path) -> Result<(reqwest::Body, u64), Failure> {
    let local = |e: std::io::Error| Failure::Local(format!("the file to send cannot be read: {e}"));
    let file = tokio::fs::File::open(path).await.map_err(local)?;
    let size = file.metadata().await.map_err(local)?.len();
    Ok((file.into(), size))
}

async fn request(client: &Client, filled: Filled) -> Result<reqwest::RequestBuilder, Failure> {
    let request = client.request(filled.method, filled.url).headers(filled.headers);
    match filled.body {
        Content::Empty => Ok(request),
        Content::Bytes(bytes) => Ok(request.body(bytes)),
        Content::File(path) => {
            let (body, size) = file(&path).await?;
            Ok(request.header(CONTENT_LENGTH, size).body(body))
        }
        Content::Multipart(parts, fields) => {
            let mut form = reqwest::multipart::Form::new().percent_encode_noop();
            for (name, value) in fields {
                form = form.text(name, value.reveal().to_owned());
            }
            for part in parts.iter() {
                let (body, size) = match &part.content {
                    PartContent::Bytes(bytes) => (bytes.clone().into(), bytes.len() as u64),
                    PartContent::File(path) => file(path).await?,
                };
                let mut out = reqwest::multipart::Part::stream_with_length(body, size);
                if let Some(filename) = &part.filename {
                    out = out.file_name(filename.clone());
                }
                if let Some(media_type) = &part.media_type {
                    out = out.mime_str(media_type).map_err(|e| Failure::Local(told(e)))?;
                }
                form = form.part(part.name.clone(), out);
            }
            Ok(request.multipart(form))
        }
    }
}

/// One exchange. With `into`, the body of a 2xx goes to that file; it is written anew by every exchange.
pub(crate) async fn exchange(
    client: &Client,
    filled: Filled,
    needles: &Needles,
    max_bytes: u32,
    into: Option<&Path>,
) -> Result<Got, Failure> {
    let url = filled.url.clone();
    let mut response = request(client, filled).await?.send().await.map_err(failed)?;
    let status = response.status();
    if response
        .content_length()
        .is_some_and(|length| length > u64::from(max_bytes))
    {
        return Err(Failure::TooLarge(max_bytes));
    }
    let headers = std::mem::take(response.headers_mut());
    let broken = |e| Failure::Broken(told(e));
    if let Some(path) = into.filter(|_| status.is_success()) {
        let local = |e: std::io::Error| Failure::Local(format!("the file cannot be written: {e}"));
        let mut file = tokio::io::BufWriter::new(tokio::fs::File::create(path).await.map_err(local)?);
        let mut stream = Stream::new(needles);
        let mut size = 0u32;
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            size = grown(size, chunk.len(), max_bytes)?;
            file.write_all(&stream.push(&chunk)).await.map_err(local)?;
        }
        file.write_all(&stream.finish()).await.map_err(local)?;
        file.flush().await.map_err(local)?;
        return Ok(Got {
            status: status.as_u16(),
            headers,
            body: Vec::new(),
            filed: Some(size),
            url,
        });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        grown(body.len() as u32, chunk.len(), max_bytes)?;
        body.extend_from_slice(&chunk);
    }
    Ok(Got {
        status: status.as_u16(),
        headers,
        body,
        filed: None,
        url,
    })
}

/// Counted as it is unpacked: a small answer may become a large one.
fn grown(size: u32, more: usize, max_bytes: u32) -> Result<u32, Failure> {
    let sum = u32::try_from(more).ok().and_then(|more| size.checked_add(more));
    sum.filter(|sum| *sum <= max_bytes).ok_or(Failure::TooLarge(max_bytes))
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(text) | Self::Local(text) | Self::Broken(text) => f.write_str(text),
            Self::Private => OnlyPrivate.fmt(f),
            Self::TooLarge(limit) => write!(f, "the answer has more than {limit} bytes"),
        }
    }
}
