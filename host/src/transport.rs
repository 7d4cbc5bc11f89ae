//! How a vendor's bytes reach the host: verified here, translated by the adapter. Knows neither sessions nor
//! adapters, only an [`Inlet`].

pub mod web;
pub mod webhook;

use std::time::Duration;

use crate::chat::{Answer, Event};
use crate::outbox::BoxFuture;

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
