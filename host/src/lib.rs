//! botyard: coding agents of the terminal, in the rooms where their teams talk. See ARCHITECTURE.md.

pub mod access;
pub mod bot;
pub mod chat;
pub mod cli;
pub mod command;
pub mod config;
pub mod conformance;
pub mod control;
pub mod crypto;
pub mod demo;
pub mod driver;
pub mod egress;
pub mod http;
pub mod inbox;
pub mod lock;
pub mod manifest;
pub mod outbox;
pub mod plugin;
pub mod session;
pub mod store;
pub mod supervisor;
pub mod transport;
