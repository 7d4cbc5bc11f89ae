//! Strict, scriptable, breakable stand-ins for what botyard talks to: a model API, a CLI, Slack.

pub mod cli;
pub mod model;
pub mod platform;
pub mod slack;
