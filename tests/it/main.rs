//! One integration binary: the host in one process with its neighbours, and the rules of the house.

mod acp;
mod binary;
mod demo;
mod driver;
mod exec;
mod feishu;
mod host;
mod journey;
mod killed;
mod process;
mod team;
mod tidy;
mod web;
mod yard;
