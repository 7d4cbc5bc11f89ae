//! The scripted ACP agent as a process; see [`botyard_fakes::acp`].

use std::process::ExitCode;

fn main() -> ExitCode {
    botyard_fakes::acp::main()
}
