//! The rules of the house that a compiler does not hold: who may import what, how long a file may be, what is
//! never written down.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_AT_MOST: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("host lies in the workspace")
        .to_path_buf()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if !matches!(
                name.to_str(),
                Some("target" | "node_modules" | ".git" | "data" | "work")
            ) {
                sources(&path, found);
            }
        } else if path
            .extension()
            .is_some_and(|e| matches!(e.to_str(), Some("rs" | "js" | "css" | "py" | "wit")))
        {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 40, "the walk found only {} files", paths.len());
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source is readable");
            (
                path.strip_prefix(&root)
                    .expect("below the root")
                    .to_string_lossy()
                    .into_owned(),
                text,
            )
        })
        .collect()
}

/// The module of a file below host/src: its first path segment.
fn module(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("host/src/")?;
    Some(rest.split('/').next()?.trim_end_matches(".rs"))
}

/// `crate::x` anywhere in the code of a file: x.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .fold(String::new(), |mut all, l| {
                all.push_str(l);
                all.push('\n');
                all
            });
    code.match_indices("crate::")
        .map(|(at, found)| {
            code[at + found.len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .filter(|name: &String| !name.is_empty() && name != "test_support")
        .collect()
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let long: Vec<String> = all_sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LINES_AT_MOST)
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn modules_import_only_what_they_may() {
    let vocabulary = ["chat", "manifest", "config"];
    let allowed: BTreeMap<&str, Vec<&str>> = [
        ("chat", vec![]),
        ("manifest", vec!["chat"]),
        ("config", vec!["chat", "manifest"]),
        ("command", vec!["chat"]),
        ("crypto", vec!["manifest"]),
        ("demo", vec![]),
        ("lock", vec![]),
        ("store", vec![]),
        ("driver", vec![]),
        ("inbox", vec!["store"]),
        ("access", vec![]),
        ("outbox", vec!["store"]),
        ("egress", vec!["crypto"]),
        ("plugin", vec!["egress", "store", "crypto", "outbox"]),
        ("session", vec!["driver", "store", "outbox", "lock"]),
        ("transport", vec!["store", "crypto", "outbox", "egress"]),
    ]
    .into_iter()
    .collect();
    let mut wrong = Vec::new();
    for (path, text) in all_sources() {
        let Some(module) = module(&path) else { continue };
        let Some(may) = allowed.get(module) else { continue };
        for import in imports(&text) {
            let basic = vocabulary.contains(&import.as_str()) && !matches!(module, "chat" | "manifest" | "config");
            if import != module && !basic && !may.contains(&import.as_str()) {
                wrong.push(format!("{path} imports {import}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn each_library_is_named_in_one_place() {
    let places = [
        ("wasmtime::", "host/src/plugin"),
        ("rusqlite::", "host/src/store"),
        ("axum::", "host/src/http"),
        ("Command::new(", "host/src/driver/process"),
        ("env::var", "host/src/config"),
        ("println!(", "host/src/cli"),
        ("reqwest::", "host/src/egress"),
    ];
    let mut wrong = Vec::new();
    for (path, text) in all_sources() {
        if !path.starts_with("host/src/") || path.contains("/tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (name, home) in places {
            let used = code.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//")
                    && line
                        .match_indices(name)
                        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == 'e'))
            });
            if used && !path.starts_with(home) {
                wrong.push(format!("{path} names {name}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nothing_is_left_to_do_in_silence() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("dbg", "!("),
        concat!("#[ig", "nore"),
    ];
    let left: Vec<String> = all_sources()
        .into_iter()
        .flat_map(|(path, text)| {
            // A test that another test runs as its child says so.
            let text = text.replace(concat!("#[ig", "nore = \"run by `"), "");
            marks
                .iter()
                .filter(move |mark| text.contains(**mark))
                .map(move |mark| format!("{path}: {mark}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// The tests that tests/README.md names, as `path.rs::name`: the path is below `host/src`, unless it begins with `tests/` or
/// `plugins/`.
#[test]
fn every_test_that_the_readme_names_is_there() {
    let readme = fs::read_to_string(root().join("tests/README.md")).expect("it is there");
    let mut named = 0;
    let mut missing = Vec::new();
    for quoted in readme.split('`').skip(1).step_by(2) {
        let Some((path, name)) = quoted.split_once(".rs::") else {
            continue;
        };
        named += 1;
        let path = if path.starts_with("tests/") || path.starts_with("plugins/") {
            format!("{path}.rs")
        } else {
            format!("host/src/{path}.rs")
        };
        let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        let is_fn = |line: &str| line.contains(&format!("fn {name}("));
        // The attribute stands above it; a promise of a suite is made a test elsewhere.
        let is_test = |at: usize| {
            let above = &lines[at.saturating_sub(4)..at];
            path.contains("/conformance") || above.iter().any(|line| line.starts_with("#[") && line.contains("test"))
        };
        if !lines.iter().enumerate().any(|(at, line)| is_fn(line) && is_test(at)) {
            missing.push(quoted);
        }
    }
    assert_eq!(missing, Vec::<&str>::new());
    assert!(named > 300, "only {named} names were found");
}

/// The first of each pair in a constant `SCOPES`.
fn scopes_of(path: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(path)).expect("a source is readable");
    let (_, list) = text.split_once("const SCOPES").expect("it has scopes");
    let (list, _) = list.split_once("];").expect("it ends");
    let words: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    let mut scopes: Vec<String> = words.iter().step_by(2).map(|scope| (*scope).to_owned()).collect();
    scopes.sort_unstable();
    scopes
}

/// What stands in the README between two lines, without the marks of a list.
fn listed(begin: &str, end: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("it is there");
    let mut lines = readme.lines().map(str::trim).skip_while(|line| *line != begin).skip(1);
    let list = lines.by_ref().take_while(|line| *line != end);
    let marks = |c: char| matches!(c, '-' | '"' | ',' | ' ');
    let mut list: Vec<String> = list.map(|line| line.trim_matches(marks).to_owned()).collect();
    list.sort_unstable();
    list
}

#[test]
fn whoever_follows_the_readme_has_the_scopes_that_an_adapter_looks_for() {
    let slack = scopes_of("plugins/slack/src/describe.rs");
    assert_eq!(listed("bot:", "settings:"), slack);
    assert_eq!(
        listed("\"tenant\": [", "],"),
        scopes_of("plugins/feishu/src/account.rs")
    );
    // What is said is told by an event of its own for each kind of conversation.
    let events = listed("bot_events:", "interactivity:");
    for kind in ["channels", "groups", "im", "mpim"] {
        let heard = slack.contains(&format!("{kind}:history"));
        let told = events.contains(&format!("message.{kind}"));
        assert!(heard && told, "{kind}: {heard}, {told}");
    }
}
