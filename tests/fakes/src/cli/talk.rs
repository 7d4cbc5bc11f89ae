//! The CLI for a person at a terminal: it says `ready` with the session's id, answers each line with `echo: LINE`, and
//! keeps both as the real one does.
//!
//! | line | what happens |
//! | --- | --- |
//! | `/clear` | another conversation begins; hooks hear of it, as they do of the first |
//! | `/exit`, or the end of what comes in | it ends |
//! | `exit N` | it ends with this code |
//! | `recall` | what people said in this conversation |
//! | `where` | its process group and the terminal's, as the system has them |
//! | `hang` | reads no more |

use std::io::{self, BufRead as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use serde_json::json;

use super::transcript::{Transcript, remembered};

pub(super) fn talk(mut transcript: Transcript, resume: bool, hooks: &[String]) -> Result<ExitCode, String> {
    if resume && !transcript.exists() {
        return Err(format!("No conversation found with session ID: {}", transcript.session));
    }
    began(&transcript, if resume { "resume" } else { "startup" }, hooks)?;
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let line = line.trim();
        let answer = match line.split_once(' ').unwrap_or((line, "")) {
            ("/exit", _) => return Ok(ExitCode::SUCCESS),
            ("exit", code) => return Ok(ExitCode::from(code.parse::<u8>().unwrap_or(1))),
            ("/clear", _) => {
                let command = "<command-name>/clear</command-name>";
                transcript = Transcript::of(&uuid::Uuid::new_v4().to_string())?;
                transcript
                    .add("user", &json!(command))
                    .map_err(|error| error.to_string())?;
                began(&transcript, "clear", hooks)?;
                continue;
            }
            ("hang", _) => loop {
                thread::park();
            },
            ("recall", _) => {
                let mut all = remembered(&transcript.read().unwrap_or_default());
                all.push(line.to_owned());
                all.join(" | ")
            }
            ("where", _) => place(),
            _ => format!("echo: {line}"),
        };
        let said = |role, content| transcript.add(role, &content).map_err(|error| error.to_string());
        said("user", json!(line))?;
        said("assistant", json!([{"type": "text", "text": answer}]))?;
        say(&answer);
    }
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Tells the hooks, then the person.
fn began(transcript: &Transcript, source: &str, hooks: &[String]) -> Result<(), String> {
    let told = json!({"session_id": transcript.session, "transcript_path": transcript.path(), "source": source,
        "hook_event_name": "SessionStart"});
    for hook in hooks {
        let failed = |error: io::Error| format!("a hook failed: {error}");
        let mut shell = Command::new("sh")
            .args(["-c", hook])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = shell.stdin.take() {
            writeln!(input, "{told}").map_err(failed)?;
        }
        shell.wait().map_err(failed)?;
    }
    say(&format!("ready {}", transcript.session));
    Ok(())
}

/// `group N of N`: the process's and the terminal's, from `/proc/self/stat` (proc(5)).
fn place() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or("?");
    format!("group {} of {}", field(2), field(5))
}
