//! One binary for the tests of the whole.

mod demo;
mod driver;
mod process;
mod yard;
