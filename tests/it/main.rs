//! One binary for the tests of the whole.

mod driver;
mod process;
