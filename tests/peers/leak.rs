//! Of processes of the real Claude Code that came and went nothing is left: no zombie, no descriptor, no orphan.

use std::path::{Path, PathBuf};

use botyard::driver::{Answer, Command};
use botyard_fakes::model::Model;
use uuid::Uuid;

use crate::claude::{decide, permission, programs, stop, yard};
use crate::left::{Left, alone};
use crate::yard::{Running, Yard, text};

const CYCLES: usize = 20;
/// Of these, what is opened once and kept.
const FIRST: usize = 2;

/// Lets it leave something behind that is in no group of its own; where that is in `/proc`.
async fn orphan(yard: &Yard, agent: &mut Running) -> PathBuf {
    let words = r#"tool Bash {"command": "setsid sleep 1000 > /dev/null 2>&1 & echo $! > pid"}"#;
    let (_, asked) = permission(agent, words).await;
    decide(agent, &asked, Answer::Allow).await;
    let file = yard.folder.path().join("work/pid");
    let pid = std::fs::read_to_string(&file).expect("it says the id");
    std::fs::remove_file(file).expect("read");
    let orphan = Path::new("/proc").join(pid.trim());
    assert!(orphan.exists());
    orphan
}

/// Start, turn, hibernate, resume, turn, kill.
async fn live(yard: &mut Yard) {
    yard.session = Uuid::new_v4().to_string();
    let mut first = yard.start(false);
    let left = orphan(yard, &mut first).await;
    stop(first).await;
    assert!(!left.exists(), "what it left behind goes with it");
    let mut second = yard.start(true);
    let left = orphan(yard, &mut second).await;
    assert_eq!(text(&second.turn("still here").await), "echo: still here");
    second.send(Command::Kill).await;
    assert_eq!(second.exit().await, None);
    assert!(!left.exists());
}

/// The process of the next test, so that what others open and start meanwhile is not counted.
#[tokio::test]
#[ignore = "run by `twenty_lives_leave_nothing_behind`"]
async fn process_of_twenty_lives() {
    let program = programs().remove(0);
    let model = Model::start().await;
    let mut yard = yard(&program, &model);
    let mut before = Left::now();
    for cycle in 0..CYCLES + FIRST {
        if cycle == FIRST {
            before = Left::at_rest().await;
        }
        live(&mut yard).await;
    }
    before.comes_back().await;
    assert_eq!(model.violations(), Vec::<String>::new());
}

#[test]
fn twenty_lives_leave_nothing_behind() {
    alone("leak::process_of_twenty_lives");
}
