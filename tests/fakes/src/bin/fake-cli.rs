//! The scripted CLI as a process; see [`botyard_fakes::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    botyard_fakes::cli::main(std::env::args().skip(1).collect())
}
