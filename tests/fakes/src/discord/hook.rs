//! Calls an interactions endpoint as Discord does: signed, within three seconds.

use std::io::{Error, ErrorKind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::interaction;
use super::world::World;

/// What the endpoint said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub status: u16,
    pub body: Value,
}

/// Sends to one URL, `http://127.0.0.1:PORT/...`.
#[derive(Debug, Clone)]
pub struct Hook {
    pub world: World,
    pub url: String,
}

/// /interactions/receiving-and-responding: an answer within three seconds.
const PATIENCE: Duration = Duration::from_secs(3);

impl Hook {
    pub fn new(world: World, url: impl Into<String>) -> Self {
        Self { world, url: url.into() }
    }

    /// Sends an interaction, and takes the answer as its callback.
    ///
    /// # Errors
    /// No answer in time, or one that Discord does not take.
    pub async fn send(&self, interaction: &Value) -> std::io::Result<Heard> {
        let heard = self.post(&interaction.to_string(), true).await?;
        let mut state = self.world.lock();
        let at = state
            .interactions
            .iter()
            .position(|one| interaction["id"] == one.id.as_str());
        if let (Some(at), 200) = (at, heard.status) {
            interaction::answered(&mut state, at, &heard.body)
                .map_err(|wrong| Error::other(format!("discord does not take this: {wrong:?} {}", heard.body)))?;
        }
        drop(state);
        self.world.touched();
        Ok(heard)
    }

    /// What Discord sends when the endpoint is filled in: a good and a forged ping.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn probe(&self) -> std::io::Result<(Heard, Heard)> {
        let ping =
            json!({ "id": "1", "application_id": super::BOT, "type": 1, "token": "t", "version": 1 }).to_string();
        Ok((self.post(&ping, true).await?, self.post(&ping, false).await?))
    }

    async fn post(&self, body: &str, honest: bool) -> std::io::Result<Heard> {
        let url = url::Url::parse(&self.url).map_err(Error::other)?;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
        let stamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
            .to_string();
        let key = self.world.lock().key.clone();
        let mut signature = key.sign(format!("{stamp}{body}").as_bytes()).as_ref().to_vec();
        if !honest {
            signature[0] ^= 1;
        }
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-Signature-Ed25519: {}\r\nX-Signature-Timestamp: {stamp}\r\nConnection: close\r\n\r\n",
            url.path(),
            body.len(),
            hex::encode(signature),
        );
        let exchange = async {
            let mut stream = TcpStream::connect((host, port)).await?;
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, Error>(answer)
        };
        let answer = tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| Error::from(ErrorKind::TimedOut))??;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .ok_or_else(|| Error::other("no HTTP answer"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Heard {
            status: status.ok_or_else(|| Error::other("no HTTP answer"))?,
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        })
    }
}
