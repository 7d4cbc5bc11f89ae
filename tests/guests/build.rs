//! Builds the test guests.

fn main() {
    botyard_guest_build::watch("tests/guests/echo");
    botyard_guest_build::watch("tests/guests/hostile");
    let paths = botyard_guest_build::components(&["botyard-guest-echo", "botyard-guest-hostile"]);
    println!("cargo::rustc-env=GUEST_ECHO={}", paths[0].display());
    println!("cargo::rustc-env=GUEST_HOSTILE={}", paths[1].display());
}
