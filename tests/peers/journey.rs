//! The whole journey with the real CLI: Slack's fake in front, the model's fake behind, our host between.

use std::path::{Path, PathBuf};

use botyard_fakes::model::Model;

use crate::host::Setup;
use crate::team::{Team, has};

/// Every version that `.ci/run` installed.
pub(crate) fn programs() -> Vec<PathBuf> {
    let paths =
        std::env::var_os("BOTYARD_TEST_CLAUDE").expect("BOTYARD_TEST_CLAUDE names the real CLI; .ci/run sets it");
    std::env::split_paths(&paths).collect()
}

pub(crate) async fn team(program: PathBuf, model: &Model) -> Team {
    let url = model.url();
    Team::start(move |setup| {
        let agent = format!(
            "permission_mode = \"default\"\nallowed_tools = [\"Read\"]\nenv = {{ ANTHROPIC_BASE_URL = {url:?} }}"
        );
        Setup {
            command: program,
            login: r#"{ api_key = "file:key" }"#.into(),
            agent,
            ..setup
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn question_tool_permission_restart_and_death() {
    for program in programs() {
        let model = Model::start().await;
        let team = team(program, &model).await;

        team.write("U1", "hello model").await;
        team.final_with("D1", "hello model").await;

        team.write(
            "U1",
            r#"tool Bash {"command":"touch allowed.txt","description":"make a file"}"#,
        )
        .await;
        let asked = team.reply("D1", "the question", has("Allow")).await;
        assert!(asked.read().contains("touch allowed.txt"), "{}", asked.read());
        team.press(&asked, "U1", "Allow").await;
        team.reply("D1", "the allowed turn's end", |m| {
            m.ts == asked.ts && m.buttons().is_empty()
        })
        .await;

        team.write(
            "U1",
            r#"tool Bash {"command":"touch denied.txt","description":"make a file"}"#,
        )
        .await;
        let asked = team.reply("D1", "the question", has("Deny")).await;
        team.press(&asked, "U1", "Deny").await;
        team.reply("D1", "the denied turn's end", |m| {
            m.ts == asked.ts && m.buttons().is_empty()
        })
        .await;
        let folder = team.host.folder();
        assert!(made(folder, "allowed.txt"), "the allowed command ran");
        assert!(!made(folder, "denied.txt"), "the denied command did not run");

        let team = team.restart().await;
        let before = model.requests().len();
        team.write("U1", "after the restart").await;
        team.final_with("D1", "after the restart").await;
        let asked = model.requests()[before..]
            .iter()
            .map(ToString::to_string)
            .collect::<String>();
        assert!(asked.contains("hello model"), "the conversation was resumed");

        assert_eq!(model.violations(), Vec::<String>::new());
        team.stop().await;
    }
}

/// Whether a file of that name lies anywhere in a folder.
pub(crate) fn made(folder: &Path, name: &str) -> bool {
    walk(folder).iter().any(|path| path.ends_with(name))
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}
