//! Strict, scriptable, breakable stand-ins for what botyard talks to: a model API, CLIs, Discord, Feishu, Slack.

pub mod acp;
pub mod cli;
pub mod discord;
pub mod feishu;
mod hold;
mod hook;
pub mod model;
pub mod mutation;
pub mod platform;
mod rate;
mod served;
mod shared;
pub mod slack;

use std::path::PathBuf;

/// Builds one of this crate's programs with the cargo, the profile and the target folder of the running binary, which
/// takes a moment when it is fresh already.
fn build(program: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("the running binary has a path");
    let mut folder = exe.parent().expect("it is in a folder");
    if folder.ends_with("deps") {
        folder = folder.parent().expect("`deps` is in the profile's folder");
    }
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = folder.parent().expect("the profile's folder is in the target folder");
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let built = std::process::Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--bin", program, "--profile", profile])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(target)
        .status();
    assert!(
        built.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{program} was not built: {built:?}"
    );
    folder.join(program)
}
