//! Builds the adapters that ship inside the binary.

fn main() {
    botyard_guest_build::watch("plugins/web");
    botyard_guest_build::watch("plugins/slack");
    botyard_guest_build::watch("plugins/feishu");
    let paths = botyard_guest_build::components(&["botyard-web", "botyard-slack", "botyard-feishu"]);
    println!("cargo::rustc-env=GUEST_WEB={}", paths[0].display());
    println!("cargo::rustc-env=GUEST_SLACK={}", paths[1].display());
    println!("cargo::rustc-env=GUEST_FEISHU={}", paths[2].display());
}
