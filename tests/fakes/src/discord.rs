//! A strict Discord: gateway, REST API and interactions on one loopback port.
//!
//! [`World`] is the server with its people and works without a socket too ([`World::request`]); [`Discord`] serves it.
//! People act by methods of the world, in person.rs. Limits name their page of docs.discord.com (discord-api-docs,
//! 2026-08) where they are checked.
//!
//! Confirmed by no page of the vendor's that we hold: how large the bucket of a channel's messages is (5 in 5 s was
//! seen; the documentation says never to rely on it), for how long a nonce is honoured ("the past few minutes": 5 here),
//! how long a session can be resumed (here: for ever), that content is counted in code points, that the window of the
//! limit for all calls together slides.
//! It is proven honest by discord.js in tests/peers/discord.

mod check;
mod gateway;
mod hook;
mod interaction;
mod person;
mod request;
mod route;
mod server;
mod world;

pub use crate::served::{Reply, Request};
pub use hook::{Heard, Hook};
pub use server::Discord;
pub use world::{Call, Channel, Message, Trouble, World};

/// The bot's token.
pub const TOKEN: &str = "MTIz.fake-bot.token-of-discord";
/// The bot's user, which is the application too.
pub const BOT: &str = "900000000000000001";
/// The server; where there are two shards it is the second one's.
pub const GUILD: &str = "100000000004194305";
/// The role that Discord made for the bot.
pub const BOT_ROLE: &str = "100000000000000099";
/// Text channels.
pub const GENERAL: &str = "200000000000000001";
pub const RANDOM: &str = "200000000000000002";
/// A voice channel: its messages can have no threads.
pub const VOICE: &str = "200000000000000003";
/// The direct channel of ann and the bot.
pub const DIRECT: &str = "300000000000000001";
/// People: ann and ben.
pub const ANN: &str = "400000000000000001";
pub const BEN: &str = "400000000000000002";
/// Another bot.
pub const HELPER: &str = "900000000000000002";

#[cfg(test)]
mod tests;
