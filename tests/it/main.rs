//! One integration binary: the host in one process with its neighbours, and the rules of the house.

mod acp;
mod asking;
mod binary;
mod company;
mod conformance;
mod demo;
mod discord;
mod doings;
mod driver;
mod exec;
mod feishu;
mod gateway;
mod guild;
mod host;
mod journey;
mod killed;
mod lark;
mod process;
mod room;
mod slack;
mod team;
mod tidy;
mod web;
mod yard;
