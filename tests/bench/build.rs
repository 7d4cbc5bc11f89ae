//! Builds the adapter that the benchmark measures with.

fn main() {
    botyard_guest_build::watch("tests/guests/plain");
    let paths = botyard_guest_build::components(&["botyard-guest-plain"]);
    println!("cargo::rustc-env=GUEST_PLAIN={}", paths[0].display());
}
