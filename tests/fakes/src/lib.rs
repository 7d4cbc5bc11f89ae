//! Strict, scriptable, breakable stand-ins for what botyard talks to.

pub mod slack;
