//! Slack.
pub mod split;
pub mod text;
