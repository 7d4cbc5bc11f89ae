//! Builds the adapter that the benchmark measures with.

fn main() {
    botyard_guest_build::watch("tests/guests/plain");
    let paths = botyard_guest_build::components(&["botyard-guest-plain"]);
    print_variable("GUEST_PLAIN", &paths[0]);
}

/// A path that the code is compiled with.
#[expect(clippy::print_stdout, reason = "a build script speaks to cargo on stdout")]
fn print_variable(name: &str, path: &std::path::Path) {
    println!("cargo::rustc-env={name}={}", path.display());
}
