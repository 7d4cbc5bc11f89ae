//! Of processes that came and went nothing is left: no zombie, no descriptor, no orphan. Two hundred lives in every run of
//! the suite; `BOTYARD_CYCLES=1000 cargo test --test it leak` makes them a thousand.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use botyard::driver::Command;
use botyard_fakes::cli;
use uuid::Uuid;

use crate::yard::{LIMIT, Yard, text};

const CYCLES: usize = 200;
/// Lives at the same time.
const SIDE_BY_SIDE: usize = 4;

/// What the process of this test has of its own.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    descriptors: usize,
    /// Also zombies.
    children: BTreeSet<u32>,
}

impl Left {
    fn now() -> Self {
        let me = std::process::id();
        let parent = |folder: &Path| {
            let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
            let (_, rest) = stat.rsplit_once(')')?;
            rest.split_ascii_whitespace().nth(1)?.parse::<u32>().ok()
        };
        let entries = std::fs::read_dir("/proc").expect("/proc is there").flatten();
        let children = entries.filter(|entry| parent(&entry.path()) == Some(me));
        Self {
            children: children
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .collect(),
            descriptors: std::fs::read_dir("/proc/self/fd").expect("/proc is there").count(),
        }
    }
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// Start, turn, hibernate, resume, turn, kill.
async fn live(yard: &mut Yard) {
    yard.session = Uuid::new_v4().to_string();
    let mut first = yard.start(false);
    let said = text(&first.turn("spawn").await);
    let orphan = said.strip_prefix("pid ").expect("it says the id").to_owned();
    assert!(is_alive(&orphan));
    first.send(Command::Close).await;
    assert_eq!(first.exit().await, None);
    assert!(!is_alive(&orphan), "what it left behind goes with it");
    let mut second = yard.start(true);
    assert_eq!(text(&second.turn("recall").await), "spawn | recall");
    let said = text(&second.turn("spawn").await);
    second.send(Command::Kill).await;
    assert_eq!(second.exit().await, None);
    assert!(!is_alive(said.strip_prefix("pid ").expect("it says the id")));
}

async fn lives(cycles: usize) {
    let line = (0..SIDE_BY_SIDE).map(|_| async move {
        let mut yard = Yard::new(&[&cli::program().display().to_string()]);
        for _ in 0..cycles.div_ceil(SIDE_BY_SIDE) {
            live(&mut yard).await;
        }
    });
    futures_util::future::join_all(line).await;
}

/// The process of the next test, so that what others open and start meanwhile is not counted.
#[test]
#[ignore = "run by `two_hundred_lives_leave_nothing_behind`"]
fn process_of_many_lives() {
    let cycles = botyard::config::variable("BOTYARD_CYCLES");
    let cycles = cycles.and_then(|count| count.to_str()?.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // What is opened once and kept.
        lives(SIDE_BY_SIDE).await;
        let before = Left::now();
        assert_eq!(before.children, BTreeSet::new());
        lives(cycles.unwrap_or(CYCLES)).await;
        let begun = Instant::now();
        loop {
            let left = Left::now();
            if left.children.is_empty() && left.descriptors <= before.descriptors {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "before {before:?}, now {left:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn two_hundred_lives_leave_nothing_behind() {
    // Built here, not while its children are counted.
    let _ = cli::program();
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "leak::process_of_many_lives", "--ignored", "--nocapture"])
        .env("TMPDIR", folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let left = crate::host::processes_in(folder.path());
    assert_eq!(left, Vec::<String>::new(), "processes were left behind");
}
