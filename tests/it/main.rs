//! One integration binary: the host in one process with its neighbours, and the rules of the house.

mod demo;
mod driver;
mod host;
mod journey;
mod process;
mod tidy;
mod yard;
