//! Strict, scriptable, breakable stand-ins for what botyard talks to: a model API, a CLI, Discord, Slack.

pub mod cli;
pub mod discord;
pub mod model;
pub mod slack;
