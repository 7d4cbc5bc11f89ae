//! `botyard agents`, with the real binary: what installed programs say of themselves, and what is wrong with the others.

use serde_json::{Value, json};

use crate::binary::{botyard, botyard_with};

/// A bots.toml with these agents.
fn folder(agents: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let bot = "[[bot]]\nname = \"a\"\nadapter = \"web\"\nallow = [\"*\"]\n";
    std::fs::write(folder.path().join("bots.toml"), format!("{agents}\n{bot}")).expect("it is written");
    folder
}

fn agents() -> String {
    let (claude, acp) = (botyard_fakes::cli::program(), botyard_fakes::acp::program());
    format!(
        r#"
[agent.claude]
command = [{claude:?}]
login = "none"
[agent.other]
driver = "acp"
command = [{acp:?}]
login = "none"
[agent.locked]
driver = "acp"
command = [{acp:?}]
login = "none"
env = {{ FAKE_ACP = "auth" }}
[agent.script]
driver = "exec"
command = ["/bin/cat"]
[agent.missing]
driver = "acp"
command = ["gemini", "--acp"]
login = "none"
"#
    )
}

#[tokio::test]
async fn each_program_says_itself_what_it_can_do_and_one_that_is_not_there_is_a_sentence() {
    let folder = folder(&agents());
    let output = botyard(folder.path(), &["agents", "--json"]).await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let told = |name: &str| {
        let mut one = told.iter().find(|one| one["agent"] == name).expect(name).clone();
        let fields = one.as_object_mut().expect("an object");
        let command = fields.remove("command").expect("a command");
        assert!(!command.as_array().expect("words").is_empty());
        one
    };
    let (cli, acp) = (botyard_fakes::cli::program(), botyard_fakes::acp::program());
    assert_eq!(
        told("claude"),
        json!({"agent": "claude", "driver": "claude", "path": cli, "version": botyard_fakes::cli::VERSION,
            "models": ["fake", "other"], "modes": ["default", "acceptEdits", "plan"], "resume": true, "fork": true,
            "images": true, "approvals": true, "steer": true, "problem": null})
    );
    assert_eq!(
        told("other"),
        json!({"agent": "other", "driver": "acp", "path": acp, "version": botyard_fakes::acp::VERSION,
            "models": ["small", "large"], "modes": ["ask", "plan", "workspace-write"], "resume": true, "fork": true,
            "images": true, "approvals": true, "steer": false, "problem": null})
    );
    // What it can do, it says before it lets anybody in.
    let locked = told("locked");
    assert_eq!((&locked["resume"], &locked["models"]), (&json!(true), &Value::Null));
    let problem = locked["problem"].as_str().expect("a problem");
    assert!(
        problem.starts_with("The agent is not logged in to its model;"),
        "{problem}"
    );
    assert_eq!(
        told("script"),
        json!({"agent": "script", "driver": "exec", "path": "/bin/cat", "version": null, "models": null, "modes": null,
            "resume": false, "fork": false, "images": false, "approvals": false, "steer": false, "problem": null})
    );
    let missing = told("missing");
    assert_eq!(
        (&missing["path"], &missing["problem"]),
        (
            &Value::Null,
            &json!("`gemini` is not on PATH: install it (`npm install -g @google/gemini-cli`), or give its path")
        )
    );
    assert_eq!(crate::host::processes_in(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn table_has_a_line_for_each_and_the_problems_are_beside_it() {
    let folder = folder(&agents());
    let output = botyard(folder.path(), &["agents"]).await;
    let (table, beside) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..5], ["AGENT", "DRIVER", "COMMAND", "PATH", "VERSION"]);
    assert_eq!(lines.len(), 6, "{table}");
    assert!(
        table.contains("fake, other") && table.contains("gemini --acp"),
        "{table}"
    );
    assert!(
        beside.contains("missing: `gemini` is not on PATH: install it"),
        "{beside}"
    );
    assert!(beside.ends_with("2 agents cannot be used\n"), "{beside}");
}

#[tokio::test]
async fn program_of_the_operators_login_has_the_operators_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("claude");
    let program = botyard_fakes::cli::program();
    let text = format!(
        "printf %s \"$CLAUDE_CONFIG_DIR\" > \"$HOME/told\"; exec {} \"$@\"",
        program.display()
    );
    std::fs::write(&script, text).expect("it is written");
    let moved = folder.path().join("moved").display().to_string();
    for (login, own) in [("operator", true), ("none", false)] {
        let agent = format!("[agent.claude]\ncommand = [\"/bin/sh\", {script:?}]\nlogin = {login:?}\n");
        let bot = "[[bot]]\nname = \"a\"\nadapter = \"web\"\nallow = [\"ann\"]\n";
        std::fs::write(folder.path().join("bots.toml"), format!("{agent}{bot}")).expect("it is written");
        let output = botyard_with(folder.path(), &["agents", "--json"], &[("CLAUDE_CONFIG_DIR", &moved)]).await;
        assert!(output.status.success(), "{output:?}");
        let told = std::fs::read_to_string(folder.path().join("told")).expect("it was started");
        assert_eq!(told == moved, own, "{login}: {told}");
    }
}
