//! The local web chat: the host's own page is the vendor.
//!
//! This file joins the pure parts to the host: [`event`] reads, [`view`] draws, [`api`] calls.

pub mod api;
pub mod event;
pub mod view;

use botyard_sdk::manifest::{Abilities, About, Limits, Managed, Mode, Secret, Slot, Transport};
use botyard_sdk::types::{Answer, Attachment, Error, Event, FileRef, Origin, Person};
use botyard_sdk::{Adapter, account, delivery, ingress, interaction, memory};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Web;

impl Adapter for Web {
    fn describe() -> About {
        About {
            platform: "web".into(),
            title: "Local web chat".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            // Where the host listens; the host sets it.
            api_base: None,
            modes: vec![Mode {
                name: "local".into(),
                purpose: "A page that this host serves; no account is needed".into(),
                transports: vec![Transport::Managed(Managed {
                    name: "web".into(),
                    options: Vec::new(),
                })],
                // The transport makes the token; the operator has nothing to give.
                secrets: Vec::new(),
            }],
            settings: Vec::new(),
            secrets: vec![Secret {
                name: api::TOKEN.into(),
                purpose: "Opens the page's API; the host makes a new one at each start".into(),
                targets: vec!["/".into()],
                slots: vec![Slot::Header(("Authorization".into(), "Bearer ".into()))],
                crypto: false,
            }],
            minted: Vec::new(),
            egress: Vec::new(),
            limits: Limits {
                // More than twenty pictures in a second nobody reads.
                update_interval_ms: 50,
                updates_max: None,
                refresh_ms: None,
                // What the operator lets in is less.
                upload_max_bytes: 1 << 30,
                rates: Vec::new(),
            },
            abilities: Abilities::UPDATE
                | Abilities::BUTTONS
                | Abilities::CHOICES
                | Abilities::FORMS
                | Abilities::FILES_IN
                | Abilities::FILES_OUT
                | Abilities::NATIVE_STOP
                | Abilities::COMMANDS,
            extra: Vec::new(),
        }
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        event::translate(&event)
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        let body = view::body(&view);
        if let Some(id) = target.memory.as_deref().and_then(|bytes| str::from_utf8(bytes).ok()) {
            return api::update(id, view.revision, &body).map(|()| None);
        }
        // The nonce is the message's key: a repeated call finds the message that is there. So nothing needs to be
        // saved before the call, and after it the id is enough: an update that comes twice, or late, changes nothing.
        let posted = api::post(&target.conversation.channel, &target.nonce, view.revision, &body)?;
        memory::save(posted.id.as_bytes())?;
        memory::posted(&posted.id)?;
        if !posted.fresh {
            api::update(&posted.id, view.revision, &body)?;
        }
        Ok(None)
    }

    fn respond(_to: Origin, verdict: interaction::Verdict) -> Result<Option<Answer>, Error> {
        Ok(view::word(&verdict))
    }

    /// The page's files are among the host's from the beginning.
    fn fetch(attachment: Attachment) -> Result<FileRef, Error> {
        Ok(FileRef {
            id: attachment.source,
            name: attachment.name,
            media_type: attachment.media_type.unwrap_or_default(),
            size_bytes: attachment.size_bytes.unwrap_or_default(),
        })
    }

    fn me() -> Result<Person, Error> {
        Ok(Person {
            id: "bot".into(),
            name: Some("botyard".into()),
            handle: None,
            tenant: None,
            groups: Vec::new(),
            locale: None,
            bot: true,
        })
    }

    fn announce(commands: Vec<account::CommandSpec>) -> Result<(), Error> {
        api::commands(&view::menu(&commands))
    }
}

botyard_sdk::export!(Web);
