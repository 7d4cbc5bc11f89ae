//! Strict, scriptable, breakable stand-ins: a model's API, a CLI.

pub mod cli;
