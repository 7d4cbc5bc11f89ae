//! Feishu and Lark: events by a long connection of the adapter's own or by webhook, answers by cards.
//!
//! This file joins the pure parts to the host: [`event`], [`content`] and [`press`] read, [`verify`] proves, [`view`]
//! draws, [`show`] brings the drawing into the chat, [`api`] calls, [`link`] and [`frame`] hold the connection.

pub mod account;
pub mod api;
mod ask;
pub mod code;
pub mod content;
pub mod describe;
pub mod event;
pub mod frame;
pub mod link;
pub mod markdown;
pub mod press;
pub mod show;
pub mod verify;
pub mod view;

use botyard_sdk::crypto::{Cipher, Derivation, IvSource, Piece};
use botyard_sdk::manifest::{About, Digest};
use botyard_sdk::raw_http::{Downloaded, Request, Response};
use botyard_sdk::types::{Answer, Attachment, Conversation, Error, Event, FileRef, Origin, Person};
use botyard_sdk::{
    Adapter, Link, crypto, delivery, files, history, host, ingress, interaction, memory, raw_http, store,
};

use crate::api::{Api, Wire};
use crate::event::{Book, Reader};
use crate::verify::Vault;

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Feishu;

/// The real host.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl Wire for Host {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        raw_http::send(request)
    }

    fn download(&self, request: &Request, name: &str) -> Result<Downloaded, Error> {
        raw_http::download(request, name)
    }

    fn hold(&self, bucket: &str, for_ms: u32) {
        raw_http::hold(bucket, for_ms);
    }

    fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<FileRef, Error> {
        files::keep(name, media_type, bytes)
    }

    fn save(&self, bytes: &[u8]) -> Result<(), Error> {
        memory::save(bytes)
    }

    fn posted(&self, message: &str) -> Result<(), Error> {
        memory::posted(message)
    }

    fn now(&self) -> u32 {
        host::now()
    }
}

impl Vault for Host {
    fn hash(&self, digest: Digest, pieces: &[Piece]) -> Result<Vec<u8>, Error> {
        crypto::hash(digest, pieces, false)
    }

    fn matches(&self, secret: &str, candidate: &str) -> Result<bool, Error> {
        crypto::matches(secret, candidate)
    }

    fn decrypt(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        let cipher = Cipher {
            secret: "encrypt_key".into(),
            derivation: Derivation::Sha256,
            iv: IvSource::Data,
            pkcs7_block: 16,
        };
        crypto::aes_256_cbc_decrypt(&cipher, data)
    }
}

/// A person's direct chat is kept for so long after it was last new.
const CHAT_KEPT_SECONDS: u32 = 180 * 24 * 3600;

impl Book for Host {
    fn chat_of(&self, person: &str) -> Option<String> {
        let found = store::get(&format!("chat:{person}")).ok().flatten()?;
        String::from_utf8(found).ok()
    }

    fn note(&self, person: &str, chat: &str) {
        if self.chat_of(person).as_deref() != Some(chat) {
            drop(store::put(
                &format!("chat:{person}"),
                chat.as_bytes(),
                Some(CHAT_KEPT_SECONDS),
            ));
        }
    }
}

const API: Api<Host> = Api { wire: Host };

impl Adapter for Feishu {
    fn describe() -> About {
        describe::about()
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let reader = Reader {
            me: host::me().map(|me| me.id),
            vault: &Host,
            book: &Host,
        };
        reader.translate(&event)
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        event::note(&Host, &target);
        show::show(&API, &view, &target).map(|()| None)
    }

    fn respond(to: Origin, verdict: interaction::Verdict) -> Result<Option<Answer>, Error> {
        Ok(press::respond(&API, &to, &verdict))
    }

    fn fetch(attachment: Attachment) -> Result<FileRef, Error> {
        account::fetch(&API, &attachment)
    }

    fn me() -> Result<Person, Error> {
        account::me(&API)
    }

    fn check() -> Result<Vec<botyard_sdk::account::Finding>, Error> {
        account::check(&API)
    }

    fn who(id: String, conversation: Conversation) -> Result<Person, Error> {
        account::who(&API, &id, &conversation)
    }

    fn before(conversation: Conversation, message: Option<String>, at_most: u32) -> Result<Vec<history::Said>, Error> {
        account::before(&API, &conversation, message.as_deref(), at_most)
    }
}

impl Link for Feishu {
    fn run() -> Result<(), Error> {
        link::run()
    }
}

botyard_sdk::export_link!(Feishu);

#[cfg(test)]
mod tests;
