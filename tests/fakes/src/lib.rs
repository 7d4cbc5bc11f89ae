//! Strict, scriptable, breakable stand-ins for what botyard speaks with: vendors, the model API, a CLI.

pub mod cli;
pub mod model;
pub mod slack;
