//! Real CLIs and official clients against our fakes and our host. Not part of `cargo test --workspace`: they come from
//! npm, and `.ci/run` says where they are. Without them these tests fail.

mod claude;
mod python;
#[path = "../it/yard.rs"]
mod yard;
