//! The `botyard` binary: its two child-process roles first, then the command line.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|word| word.to_str()) {
        Some("guard") => botyard::driver::process::guard::run(args.collect::<Vec<OsString>>()),
        Some("demo-agent") => botyard::demo::run(args.map(|word| word.to_string_lossy().into_owned()).collect()),
        _ => botyard::cli::main(),
    }
}
