//! A strict Slack: the Web API on a loopback port, and a sender of signed events.
//!
//! [`Workspace`] is the team and works without a socket too ([`Workspace::request`]); [`Slack`] serves it; [`Sender`]
//! speaks to a hook, or over a socket, as Slack does. It is proven honest by Slack's own client in tests/peers/slack.

mod block;
mod method;
mod rate;
mod request;
mod sender;
mod server;
mod socket;
mod stream;
mod workspace;

pub use crate::hook::Heard;
pub use crate::served::{Reply, Request};
pub use sender::Sender;
pub use server::Slack;
pub use socket::Envelope;
pub use workspace::{Call, Channel, Message, Trouble, Workspace};

/// The bot's token.
pub const BOT_TOKEN: &str = "xoxb-1-fake-token";
/// The app's token, for Socket Mode.
pub const APP_TOKEN: &str = "xapp-1-fake-token";
/// What events are signed with.
pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// The team's id.
pub const TEAM: &str = "T1";
/// The bot's user id.
pub const BOT_USER: &str = "UBOT";
/// The bot's bot id.
pub const BOT: &str = "BBOT";
/// The app's id.
pub const APP: &str = "A1";
/// What the token may do, unless a test says otherwise.
pub const SCOPES: [&str; 16] = [
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "mpim:history",
    "reactions:read",
    "reactions:write",
    "users:read",
];

#[cfg(test)]
mod tests;
