//! Builds the adapters that ship inside the binary.

/// Each becomes `GUEST_NAME` for the compiler.
const ADAPTERS: [&str; 4] = ["web", "slack", "discord", "feishu"];

fn main() {
    for name in ADAPTERS {
        botyard_guest_build::watch(&format!("plugins/{name}"));
    }
    let packages = ADAPTERS.map(|name| format!("botyard-{name}"));
    let paths = botyard_guest_build::components(&packages.each_ref().map(String::as_str));
    for (name, path) in ADAPTERS.iter().zip(paths) {
        println!("cargo::rustc-env=GUEST_{}={}", name.to_uppercase(), path.display());
    }
}
