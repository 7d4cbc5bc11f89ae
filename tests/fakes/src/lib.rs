//! Strict, scriptable, breakable stand-ins: a model API, a CLI.

pub mod cli;
pub mod model;
