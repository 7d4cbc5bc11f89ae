//! Builds the test guests.

fn main() {
    for guest in ["echo", "hostile", "plain", "room"] {
        botyard_guest_build::watch(&format!("tests/guests/{guest}"));
    }
    let paths = botyard_guest_build::components(&[
        "botyard-guest-echo",
        "botyard-guest-hostile",
        "botyard-guest-plain",
        "botyard-guest-room",
    ]);
    for (name, path) in ["GUEST_ECHO", "GUEST_HOSTILE", "GUEST_PLAIN", "GUEST_ROOM"]
        .iter()
        .zip(paths)
    {
        println!("cargo::rustc-env={name}={}", path.display());
    }
}
