//! Feishu's events, over the long connection and as calls of a webhook: what is proven there is taken for proven here.

#![no_main]

use botyard_feishu::event::{Book, Reader};
use botyard_feishu::verify::Vault;
use botyard_fuzz::{Way, event, hold};
use botyard_sdk::crypto::Piece;
use botyard_sdk::manifest::Digest;
use botyard_sdk::types::Error;
use libfuzzer_sys::fuzz_target;

const fn way(transport: &'static str, name: &'static str) -> Way {
    Way {
        transport,
        name,
        headers: &[("Content-Type", "application/json; charset=utf-8")],
    }
}

const WAYS: [Way; 4] = [
    way("link", "event"),
    way("webhook", ""),
    way("webhook", "events"),
    way("webhook", "cards"),
];

/// Every token is the right one, a card's old call without a signature is signed, and what is encrypted is its own text.
struct Open;

impl Vault for Open {
    fn hash(&self, digest: Digest, _: &[Piece]) -> Result<Vec<u8>, Error> {
        match digest {
            Digest::Sha1 => Ok(Vec::new()),
            _ => Err(Error::Unauthorized("there is no encrypt key".into())),
        }
    }

    fn matches(&self, _: &str, _: &str) -> Result<bool, Error> {
        Ok(true)
    }

    fn decrypt(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(data.to_vec())
    }
}

/// Everybody has a chat with the bot, and it answered in every other thread.
struct Known;

impl Book for Known {
    fn chat_of(&self, person: &str) -> Option<String> {
        Some(format!("oc_{person}"))
    }

    fn note(&self, _: &str, _: &str) {}
}

fuzz_target!(|data: &[u8]| {
    let reader = Reader {
        me: Some("ou_bot".into()),
        vault: &Open,
        book: &Known,
    };
    if let Some(event) = event(&WAYS, data) {
        hold(reader.translate(&event));
    }
});
