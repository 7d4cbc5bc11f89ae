//! Real CLIs and official clients against our fakes and our host. Not part of `cargo test --workspace`: they come from
//! npm, and `.ci/run` says where they are. Without them these tests fail.

mod acp;
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../it/binary.rs"]
mod binary;
mod claude;
mod control;
#[path = "../it/everywhere.rs"]
mod everywhere;
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../it/host.rs"]
mod host;
mod journey;
mod leak;
#[path = "../it/left.rs"]
mod left;
mod python;
#[path = "../it/team.rs"]
mod team;
mod terminal;
mod town;
#[path = "../it/yard.rs"]
mod yard;
