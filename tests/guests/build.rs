//! Builds the test guests.

fn main() {
    for guest in ["echo", "hostile", "mute", "plain", "room"] {
        botyard_guest_build::watch(&format!("tests/guests/{guest}"));
    }
    let paths = botyard_guest_build::components(&[
        "botyard-guest-echo",
        "botyard-guest-hostile",
        "botyard-guest-mute",
        "botyard-guest-plain",
        "botyard-guest-room",
    ]);
    let names = ["GUEST_ECHO", "GUEST_HOSTILE", "GUEST_MUTE", "GUEST_PLAIN", "GUEST_ROOM"];
    for (name, path) in names.iter().zip(paths) {
        println!("cargo::rustc-env={name}={}", path.display());
    }
}
