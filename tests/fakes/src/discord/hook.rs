//! Calls an interactions endpoint as Discord does: signed, within three seconds.

use std::io::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::interaction;
use super::world::World;
use crate::hook;

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

    /// Sends an interaction that somebody else has signed.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn forge(&self, interaction: &Value) -> std::io::Result<Heard> {
        self.post(&interaction.to_string(), false).await
    }

    async fn post(&self, body: &str, honest: bool) -> std::io::Result<Heard> {
        let stamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
            .to_string();
        let key = self.world.lock().key.clone();
        let mut signature = key.sign(format!("{stamp}{body}").as_bytes()).as_ref().to_vec();
        if !honest {
            signature[0] ^= 1;
        }
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Signature-Ed25519", &hex::encode(signature)),
            ("X-Signature-Timestamp", &stamp),
        ];
        let heard = hook::post(&self.url, &headers, body.as_bytes(), PATIENCE).await?;
        Ok(Heard {
            status: heard.status,
            body: serde_json::from_str(&heard.body).unwrap_or(Value::Null),
        })
    }
}
