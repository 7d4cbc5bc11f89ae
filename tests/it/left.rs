//! What a process has of its own, and whether it comes back to that.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::yard::LIMIT;

/// What the process of this test has of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) descriptors: usize,
    /// Also zombies.
    pub(crate) children: BTreeSet<u32>,
}

impl Left {
    pub(crate) fn now() -> Self {
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

    /// Waits until no child is there: the last may not have been waited for yet.
    pub(crate) async fn at_rest() -> Self {
        let begun = Instant::now();
        loop {
            let left = Self::now();
            if left.children.is_empty() {
                return left;
            }
            assert!(begun.elapsed() < LIMIT, "{left:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until there is no more than this.
    pub(crate) async fn comes_back(&self) {
        let begun = Instant::now();
        loop {
            let left = Self::now();
            if left.children.is_empty() && left.descriptors <= self.descriptors {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "before {self:?}, now {left:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Runs one ignored test in a process of its own, and looks that no process stays behind.
pub(crate) fn alone(test: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--ignored", "--nocapture"])
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
