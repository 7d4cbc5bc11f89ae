//! How a vendor's bytes reach the host: verified here, translated by the adapter. Knows neither sessions nor
//! adapters, only an [`Inlet`].
//!
//! A managed transport holds a connection of a platform's own kind ([`slack`], [`discord`]): it keeps it alive, hands over
//! raw frames in their order, acknowledges in time, and says truly how the connection is.

pub mod discord;
pub mod slack;
pub mod web;
pub mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::chat::{Answer, BotName, Event, Health, Person};
use crate::config::SecretText;
use crate::egress::Outlet;
use crate::outbox::BoxFuture;
use crate::store::Journal;

/// What became of an event that a transport brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Stored (or set aside). None: the transport's own default acknowledgement.
    Stored(Option<Answer>),
    /// The guest says it is forged.
    Forged,
    /// Nothing could be stored: the vendor must send it again.
    Unavailable,
}

/// Where a transport hands over events: a bot.
pub trait Inlet: Send + Sync + 'static {
    /// Comes back when the event is stored, with what to tell the vendor, by `within` at the latest. Events that are
    /// handed over at the same time are stored in any order.
    fn accept<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, Accepted>;
}

/// Where a connection hands over what it brings, in its order, and says how it is.
pub trait Connected: Inlet {
    /// Events are stored in the order of these calls. Waits only for a place in the bounded line;
    /// the future that comes back is the outcome, as of `accept`, and may be awaited elsewhere or dropped.
    fn enqueue<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, BoxFuture<'static, Accepted>>;

    /// How the connection is; to be called whenever that changes.
    fn report(&self, health: Health);

    /// Something came over the connection, if only a sign of life.
    fn heard(&self);
}

/// What a managed transport is made of.
pub struct Managed {
    pub bot: BotName,
    /// The bot itself, as the platform knows it.
    pub me: Option<Person>,
    /// From the adapter's manifest: secrets by name, intents, event names.
    pub options: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, SecretText>,
    /// The vendor's API, ending in `/`.
    pub api_base: String,
    /// For resume points: the bot's keys that begin with `host/`, which no guest can reach.
    pub journal: Journal,
    /// The way out, within the bot's grant: sockets and calls go through the operator's proxy and authorities.
    pub outlet: Outlet,
    pub inlet: Arc<dyn Connected>,
    pub stop: CancellationToken,
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed")
            .field("bot", &self.bot)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Runs the managed transport of this name until `stop`; reports its own health. `web` is served by the host's page
/// and is none of these.
pub async fn run(name: &str, managed: Managed) {
    match name {
        "slack" => slack::run(managed).await,
        "discord" => discord::run(managed).await,
        _ => managed.inlet.report(Health::Refused {
            why: format!("this botyard has no transport `{name}`"),
        }),
    }
}
