//! Frames of the long connection: protobuf messages of the vendor's package `pbbp2`, and events that come in parts.
//!
//! Field numbers are those that both official SDKs speak (@larksuiteoapi/node-sdk 1.74.0, lark-oapi 1.7.5). Eleven
//! fields of three kinds are less code than a protobuf library is.

use botyard_sdk::types::Error;

/// `method` of pings and pongs.
pub const CONTROL: i32 = 0;
/// `method` of events and their acknowledgements.
pub const DATA: i32 = 1;

/// One frame. What it does not know it does not keep: the vendor's clients do the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    pub seq_id: u64,
    pub log_id: u64,
    pub service: i32,
    pub method: i32,
    pub headers: Vec<(String, String)>,
    pub payload_encoding: String,
    pub payload_type: String,
    pub payload: Vec<u8>,
    pub log_id_new: String,
}

impl Frame {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A number in a header; 0 where there is none.
    pub fn number(&self, name: &str) -> usize {
        self.header(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The ping that a client sends.
    pub fn ping(service: i32) -> Self {
        Self {
            service,
            method: CONTROL,
            headers: vec![("type".into(), "ping".into())],
            ..Self::default()
        }
    }

    /// As the vendor wants to have it. The first four fields are required there, so they stand there when they are 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + 256);
        number(&mut out, 1, self.seq_id);
        number(&mut out, 2, self.log_id);
        // A negative number of 32 bits is written as one of 64.
        number(&mut out, 3, i64::from(self.service) as u64);
        number(&mut out, 4, i64::from(self.method) as u64);
        for (name, value) in &self.headers {
            let mut header = Vec::with_capacity(name.len() + value.len() + 4);
            bytes(&mut header, 1, name.as_bytes());
            bytes(&mut header, 2, value.as_bytes());
            bytes(&mut out, 5, &header);
        }
        for (field, text) in [(6, &self.payload_encoding), (7, &self.payload_type)] {
            if !text.is_empty() {
                bytes(&mut out, field, text.as_bytes());
            }
        }
        if !self.payload.is_empty() {
            bytes(&mut out, 8, &self.payload);
        }
        if !self.log_id_new.is_empty() {
            bytes(&mut out, 9, self.log_id_new.as_bytes());
        }
        out
    }

    /// # Errors
    /// `malformed`: it is no frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut frame = Self::default();
        let mut reader = Reader(bytes);
        while let Some((field, value)) = reader.field()? {
            match (field, value) {
                (1, Value::Number(n)) => frame.seq_id = n,
                (2, Value::Number(n)) => frame.log_id = n,
                (3, Value::Number(n)) => frame.service = n as i32,
                (4, Value::Number(n)) => frame.method = n as i32,
                (5, Value::Bytes(header)) => frame.headers.push(pair(header)?),
                (6, Value::Bytes(text)) => frame.payload_encoding = lossy(text),
                (7, Value::Bytes(text)) => frame.payload_type = lossy(text),
                (8, Value::Bytes(payload)) => frame.payload = payload.to_vec(),
                (9, Value::Bytes(text)) => frame.log_id_new = lossy(text),
                _ => {}
            }
        }
        Ok(frame)
    }
}

fn pair(bytes: &[u8]) -> Result<(String, String), Error> {
    let (mut name, mut value) = (String::new(), String::new());
    let mut reader = Reader(bytes);
    while let Some((field, found)) = reader.field()? {
        match (field, found) {
            (1, Value::Bytes(text)) => name = lossy(text),
            (2, Value::Bytes(text)) => value = lossy(text),
            _ => {}
        }
    }
    Ok((name, value))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// 64 or 32 bits: no field of ours.
    Fixed,
}

struct Reader<'a>(&'a [u8]);

fn torn() -> Error {
    Error::Malformed("a frame ends too early".into())
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(torn)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::Malformed("a number of a frame is too long".into()))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Error> {
        let length = usize::try_from(length).map_err(|_| torn())?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(torn)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed
            }
            kind => return Err(Error::Malformed(format!("a frame has a field of kind {kind}"))),
        };
        Ok(Some((key >> 3, value)))
    }
}

/// Parts of one event are forgotten after this: the official SDKs' number.
pub const EXPIRE_MS: u64 = 5_000;
/// Events that wait, parts of one, and bytes of all; a vendor's event has at most 30 KB of content.
const WAITING_MAX: usize = 256;
const PARTS_MAX: usize = 256;
const BYTES_MAX: usize = 8 << 20;

/// Events that came in part.
#[derive(Debug, Default)]
pub struct Fragments {
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    id: String,
    since: u64,
    parts: Vec<Option<Vec<u8>>>,
}

impl Fragments {
    /// The whole payload, when this frame is the last that was missing (or the only one). `now`: milliseconds of any
    /// clock that goes on.
    pub fn join(&mut self, frame: &Frame, now: u64) -> Option<Vec<u8>> {
        self.waiting
            .retain(|waiting| now.saturating_sub(waiting.since) < EXPIRE_MS);
        let (sum, seq) = (frame.number("sum"), frame.number("seq"));
        if sum <= 1 {
            return Some(frame.payload.clone());
        }
        let id = frame.header("message_id").unwrap_or_default();
        if sum > PARTS_MAX || seq >= sum || self.held() + frame.payload.len() > BYTES_MAX {
            return None;
        }
        let at = match self.waiting.iter().position(|w| w.id == id && w.parts.len() == sum) {
            Some(at) => at,
            None => {
                if self.waiting.len() >= WAITING_MAX {
                    self.waiting.remove(0);
                }
                self.waiting.push(Waiting {
                    id: id.to_owned(),
                    since: now,
                    parts: vec![None; sum],
                });
                self.waiting.len() - 1
            }
        };
        self.waiting[at].parts[seq] = Some(frame.payload.clone());
        if self.waiting[at].parts.iter().any(Option::is_none) {
            return None;
        }
        let whole = self.waiting.remove(at);
        Some(whole.parts.into_iter().flatten().flatten().collect())
    }

    fn held(&self) -> usize {
        let parts = self.waiting.iter().flat_map(|waiting| &waiting.parts);
        parts.flatten().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests;
