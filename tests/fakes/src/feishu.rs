//! A strict Feishu: the open API and the long connection on one loopback port, and a sender of a webhook's calls.
//!
//! [`Tenant`] is the company and works without a socket too ([`Tenant::request`]); [`Feishu`] serves it; [`Sender`]
//! speaks to a hook as Feishu does. It is proven honest by Feishu's own clients in tests/peers/feishu.

mod card;
mod event;
mod frame;
mod line;
mod message;
mod rate;
mod request;
mod sender;
mod server;
mod tenant;

pub use crate::hook::Heard;
pub use crate::served::{Reply, Request};
pub use line::{Ack, Config};
pub use sender::{Call as HookCall, Sender};
pub use server::Feishu;
pub use tenant::{Button, Call, Message, Reaction, Tenant, Trouble};

/// The app's id.
pub const APP_ID: &str = "cli_a1b2c3d4e5f60718";
/// The app's secret.
pub const APP_SECRET: &str = "fake-app-secret-0123456789abcdef";
/// Proves calls of a webhook where there is no encrypt key.
pub const VERIFICATION_TOKEN: &str = "fake-verification-token-0123456789";
/// Encrypts and signs calls of a webhook.
pub const ENCRYPT_KEY: &str = "fake-encrypt-key-0123456789";
/// The company.
pub const TENANT: &str = "16b2f8d3a1c4975e";
/// The bot's open id.
pub const BOT: &str = "ou_bot";
/// The group that is there from the start.
pub const GROUP: &str = "oc_group";
/// Ann's direct chat with the bot.
pub const DIRECT: &str = "oc_ann";
/// A person.
pub const ANN: &str = "ou_ann";
/// Another person.
pub const BEN: &str = "ou_ben";
/// What the app may do, unless a test says otherwise.
pub const SCOPES: [&str; 12] = [
    "application:application:self_manage",
    "cardkit:card:write",
    "contact:user.base:readonly",
    "im:chat:readonly",
    "im:message.group_at_msg:readonly",
    "im:message.p2p_msg:readonly",
    "im:message.reactions:read",
    "im:message.reactions:write_only",
    "im:message:readonly",
    "im:message:send_as_bot",
    "im:message:update",
    "im:resource",
];
/// What the app is told of, and called back for, unless a test says otherwise.
pub const SUBSCRIBED: [&str; 7] = [
    "application.bot.menu_v6",
    "card.action.trigger",
    "im.chat.member.bot.added_v1",
    "im.message.reaction.created_v1",
    "im.message.reaction.deleted_v1",
    "im.message.recalled_v1",
    "im.message.receive_v1",
];

#[cfg(test)]
mod tests;
