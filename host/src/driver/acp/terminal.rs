//! Agents that speak ACP, for a person at a terminal: each agent's own way to go on with a session, by its documentation.
//! The session's folders and its login are those that it has with us.

use std::ffi::OsString;
use std::path::PathBuf;

use super::launch;
use crate::config::{AgentProfile, KnownAgent};
use crate::driver::Launch;
use crate::driver::process::{Program, inherited_env};

pub(in crate::driver) fn program(profile: &AgentProfile, launch: &Launch) -> Result<Program, String> {
    let known = KnownAgent::of_command(&profile.command);
    let (mut program, _) = launch::program(profile, launch, known, inherited_env());
    let id = OsString::from(&launch.cli_session);
    // Of those whose own program speaks the protocol, the command without the word that makes it do so.
    let mut without = |words: &[&str]| program.args.retain(|arg| words.iter().all(|word| arg != word));
    let more: Vec<OsString> = match known {
        Some(KnownAgent::Gemini) => {
            without(&["--acp", "--experimental-acp"]);
            vec!["--resume".into(), id]
        }
        Some(KnownAgent::OpenCode) => {
            without(&["acp"]);
            vec!["-s".into(), id]
        }
        Some(KnownAgent::Codex) => {
            program.program = PathBuf::from("codex");
            program.args.clear();
            vec!["resume".into(), id]
        }
        Some(KnownAgent::Claude) => {
            program.program = PathBuf::from("claude");
            program.args.clear();
            vec!["--resume".into(), id]
        }
        None => {
            let name = profile.command.first().map_or("", String::as_str);
            return Err(format!(
                "it is not known how `{name}` goes on with a session in a terminal"
            ));
        }
    };
    program.args.extend(more);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DriverKind;
    use crate::driver::claude::tests::{launch, profile};

    #[test]
    fn every_known_agent_goes_on_in_its_own_way() {
        let words = |command: &[&str]| {
            let profile = AgentProfile {
                driver: DriverKind::Acp,
                command: command.iter().map(|word| (*word).to_owned()).collect(),
                ..profile()
            };
            program(&profile, &launch()).map(|program| {
                let args = program.args.into_iter().map(|arg| arg.into_string().unwrap());
                let all: Vec<_> = std::iter::once(program.program.display().to_string())
                    .chain(args)
                    .collect();
                all.join(" ")
            })
        };
        let fine = |text: &str| Ok(text.to_owned());
        assert_eq!(words(&["/bin/gemini", "--acp"]), fine("/bin/gemini --resume 6f1f"));
        assert_eq!(
            words(&["npx", "-y", "@google/gemini-cli", "--acp"]),
            fine("npx -y @google/gemini-cli --resume 6f1f")
        );
        assert_eq!(words(&["opencode", "acp"]), fine("opencode -s 6f1f"));
        assert_eq!(words(&["/x/codex-acp", "-c", "a=1"]), fine("codex resume 6f1f"));
        assert_eq!(words(&["claude-agent-acp"]), fine("claude --resume 6f1f"));
        assert!(words(&["/bin/strange"]).unwrap_err().contains("`/bin/strange`"));
    }
}
