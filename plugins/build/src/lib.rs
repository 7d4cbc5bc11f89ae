//! Builds wasm guests from a build script: a nested cargo with a target folder of its own, so that guests that did
//! not change are not built again and the outer build's locks are not waited for.

#![expect(clippy::print_stdout, reason = "a build script speaks to cargo on stdout")]

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// Builds `packages` of this workspace as components and gives the path of each, in the same order. Called by
/// build scripts only: it prints what cargo must watch.
///
/// # Panics
/// With one sentence for the person who builds, when a guest cannot be built.
pub fn components(packages: &[&str]) -> Vec<PathBuf> {
    let root = workspace_root();
    for watched in ["Cargo.lock", "Cargo.toml", "wit", "plugins/sdk", "plugins/build/src"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let target_dir = outer_target_dir(&root).join("guests");
    require_target(&root, &target_dir);
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&root)
        .args(["build", "--target", TARGET, "--profile", "guest"]);
    cargo.arg("--target-dir").arg(&target_dir);
    for package in packages {
        cargo.args(["--package", package]);
    }
    // What the outer cargo (or clippy) set for host code must not reach code for another target.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let outer =
            text.starts_with("CARGO_CFG_") || text.starts_with("CARGO_FEATURE_") || text.starts_with("CARGO_PKG_");
        if outer
            || matches!(
                text.as_ref(),
                "CARGO_ENCODED_RUSTFLAGS"
                    | "RUSTFLAGS"
                    | "RUSTC_WRAPPER"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "RUSTC"
                    | "RUSTDOC"
                    | "CARGO_MAKEFLAGS"
                    | "MAKEFLAGS"
                    | "CARGO_BUILD_TARGET"
                    | "CARGO_TARGET_DIR"
                    | "TARGET"
                    | "HOST"
                    | "OUT_DIR"
                    | "PROFILE"
                    | "OPT_LEVEL"
                    | "DEBUG"
                    | "NUM_JOBS"
            )
        {
            cargo.env_remove(&name);
        }
    }
    let output = cargo
        .output()
        .unwrap_or_else(|e| panic!("cargo could not be started to build the guests: {e}"));
    assert!(
        output.status.success(),
        "the guests {packages:?} could not be built:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    packages
        .iter()
        .map(|package| {
            target_dir
                .join(TARGET)
                .join("guest")
                .join(format!("{}.wasm", package.replace('-', "_")))
        })
        .collect()
}

/// Also watch this folder of a guest, relative to the workspace.
pub fn watch(folder: &str) {
    println!("cargo::rerun-if-changed={}", workspace_root().join(folder).display());
}

fn workspace_root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .expect("plugins/build lies two folders below the workspace")
}

/// The folder that holds the outer build: four above `OUT_DIR` (`target/PROFILE/build/PACKAGE-HASH/out`), five
/// where the outer build names a target triple too.
fn outer_target_dir(root: &Path) -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    out.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file() || folder.join(".rustc_info.json").is_file())
        .map_or_else(|| root.join("target"), Path::to_path_buf)
}

/// The target's standard library: installed if it is missing and rustup is there, else one sentence says how. Build
/// scripts run side by side and rustup does not bear that, so they wait for each other here.
fn require_target(root: &Path, target_dir: &Path) {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let installed = || {
        Command::new(&rustc)
            .current_dir(root)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output()
            .ok()
            .filter(|output| output.status.success())
            .is_some_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    };
    if installed() {
        return;
    }
    std::fs::create_dir_all(target_dir).expect("the guests' target folder can be made");
    let lock = File::create(target_dir.join("rustup.lock")).expect("a lock can be made in the guests' target folder");
    lock.lock().expect("a file can be locked");
    if installed() {
        return;
    }
    let _ = Command::new("rustup")
        .current_dir(root)
        .args(["target", "add", TARGET])
        .status();
    assert!(
        installed(),
        "the target {TARGET} is not installed and could not be added; run: rustup target add {TARGET}"
    );
}
