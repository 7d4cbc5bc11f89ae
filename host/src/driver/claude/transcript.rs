//! What Claude Code keeps of a conversation: `projects/FOLDER/ID.jsonl` of its settings' folder, and files beside it
//! in a folder of the same name. FOLDER is made of where it worked; it is looked for and not derived, as long names are
//! cut.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tool;
use crate::chat::{Part, Step, StepState};
use crate::driver::{BringError, Brought, Exchange, Meanwhile};

/// Its settings' folder, by the environment that it is started with.
pub(super) fn home(env: &[(OsString, OsString)]) -> Option<PathBuf> {
    let value = |wanted: &str| {
        let found = env
            .iter()
            .rev()
            .find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    };
    value("CLAUDE_CONFIG_DIR").or_else(|| value("HOME").map(|home| home.join(".claude")))
}

/// What there is of this conversation. May block.
pub(super) fn kept(home: &Path, id: &str) -> Vec<PathBuf> {
    // An id comes from the CLI, which may have been told one by whoever talks to it.
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Vec::new();
    }
    let folders = fs::read_dir(home.join("projects")).into_iter().flatten().flatten();
    let both = folders.flat_map(|folder| [folder.path().join(format!("{id}.jsonl")), folder.path().join(id)]);
    both.filter(|path| path.exists()).collect()
}

/// What was said since these files were as long as that, and in the conversations that it went to since: `visits` is what
/// its hook `SessionStart` was told, one JSON after the other.
pub(in crate::driver) fn meanwhile(marks: &[(PathBuf, u64)], visits: &str) -> Meanwhile {
    let visits: Vec<Value> = serde_json::Deserializer::from_str(visits)
        .into_iter()
        .map_while(Result::ok)
        .collect();
    let mut files: Vec<(PathBuf, u64)> = marks.to_vec();
    let mut went_to = Vec::new();
    for visit in &visits {
        let (Some(id), Some(path)) = (visit["session_id"].as_str(), visit["transcript_path"].as_str()) else {
            continue;
        };
        let path = PathBuf::from(path);
        if visit["source"] != "compact" && !files.iter().any(|(known, _)| *known == path) {
            // What it came back to by its own list of conversations was there before; what it said then is not ours.
            let known = visit["source"] == "resume";
            let from = if known { size(&path) } else { 0 };
            files.push((path, from));
        }
        went_to.retain(|known| known != id);
        went_to.push(id.to_owned());
    }
    let mut said = Vec::new();
    for (file, from) in &files {
        if let Err(error) = read(file, *from, &mut said)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %file.display(), %error, "what was said in a terminal could not be read");
            return Meanwhile { went_to, said: None };
        }
    }
    Meanwhile {
        went_to,
        said: Some(said),
    }
}

/// Longer ones are none that a model could go on with.
const LONGEST: u64 = 256 << 20;

/// Copies a conversation under another id, beside those of a working folder: a file is found by where its agent works now,
/// not by where it worked.
pub(in crate::driver) fn bring(file: &Path, beside: &[PathBuf], id: &str) -> Result<Brought, BringError> {
    let folder = beside.iter().find(|path| path.is_file()).and_then(|path| path.parent());
    let folder = folder.ok_or(BringError::NoPlace)?;
    let not_one = |why: &str| BringError::NotOne {
        path: file.to_owned(),
        why: why.to_owned(),
    };
    let of = |path: &Path| {
        let path = path.to_owned();
        move |source| BringError::Io { path, source }
    };
    let found = fs::metadata(file).map_err(of(file))?;
    if !found.is_file() {
        return Err(not_one("it is no file"));
    }
    if found.len() > LONGEST {
        return Err(not_one(&format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    let (mut said, mut worked_in) = (Vec::new(), None);
    read(file, 0, &mut said).map_err(of(file))?;
    if said.is_empty() {
        return Err(not_one("nobody said anything in it"));
    }
    let copy = folder.join(format!("{id}.jsonl"));
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&copy)
        .map_err(of(&copy))?;
    let copied = renamed(file, &mut new, id, &mut worked_in).and_then(|()| new.sync_all());
    if let Err(error) = copied {
        let _ = fs::remove_file(&copy);
        return Err(of(&copy)(error));
    }
    Ok(Brought {
        worked_in,
        said,
        file: copy,
    })
}

/// Every record names the conversation that it is of.
fn renamed(file: &Path, new: &mut File, id: &str, worked_in: &mut Option<PathBuf>) -> io::Result<()> {
    let mut new = BufWriter::new(new);
    for line in BufReader::new(File::open(file)?).split(b'\n') {
        let line = line?;
        // What does not parse is nothing to whoever reads it either.
        let Ok(mut record) = serde_json::from_slice::<Value>(&line) else {
            continue;
        };
        if let Some(of) = record.get_mut("sessionId") {
            *of = Value::from(id);
        }
        if worked_in.is_none() {
            *worked_in = record["cwd"].as_str().map(PathBuf::from);
        }
        serde_json::to_writer(&mut new, &record)?;
        new.write_all(b"\n")?;
    }
    new.flush()
}

/// How long a file is; 0, if there is none.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// What stands in a transcript from there on. What does not parse is left out: the last line may be torn.
fn read(file: &Path, from: u64, said: &mut Vec<Exchange>) -> io::Result<()> {
    let mut file = fs::File::open(file)?;
    file.seek(SeekFrom::Start(from))?;
    // Exchanges of another file are not added to.
    let mut open = false;
    for line in BufReader::new(file).split(b'\n') {
        let Ok(record) = serde_json::from_slice::<Value>(&line?) else {
            continue;
        };
        if record["isSidechain"] == true || record["isMeta"] == true {
            continue;
        }
        let content = &record["message"]["content"];
        match record["type"].as_str() {
            Some("user") => {
                if let Some(prompt) = prompt(content) {
                    let parts = Vec::new();
                    said.push(Exchange { prompt, parts });
                    open = true;
                }
            }
            Some("assistant") if open => {
                if let Some(last) = said.last_mut() {
                    last.parts
                        .extend(content.as_array().into_iter().flatten().filter_map(part));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a person typed; none: what the CLI itself says in their place, results of tools, commands of its own.
fn prompt(content: &Value) -> Option<String> {
    let text = match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter(|block| block["type"] == "text");
            let texts: Vec<&str> = texts.filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => return None,
    };
    let own = ["<command-", "<local-command", "<bash-", "[Request interrupted"];
    let typed = !text.trim().is_empty() && !own.iter().any(|word| text.starts_with(word));
    typed.then_some(text)
}

fn part(block: &Value) -> Option<Part> {
    match block["type"].as_str()? {
        "text" => Some(Part::Text(block["text"].as_str()?.to_owned())),
        "tool_use" => {
            let name = block["name"].as_str()?;
            Some(Part::Step(Step {
                kind: "other".to_owned(),
                title: tool::title(name, &block["input"], Path::new("")),
                detail: String::new(),
                output: String::new(),
                state: StepState::Done,
                elapsed: None,
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_said_meanwhile_is_read_from_where_it_began_and_where_it_went() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old.jsonl"), folder.path().join("new.jsonl"));
        let user = |content: Value| json!({"type": "user", "message": {"role": "user", "content": content}});
        let answer = |blocks: Value| json!({"type": "assistant", "message": {"content": blocks}});
        let lines = |lines: &[Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let before = lines(&[user(json!("before")), answer(json!([{"type": "text", "text": "no"}]))]);
        let meta = json!({"type": "user", "isMeta": true, "message": {"content": "caveat"}});
        let since = lines(&[
            // The end of an answer to what was said before.
            answer(json!([{"type": "text", "text": "late"}])),
            meta,
            user(json!("one")),
            answer(json!([{"type": "thinking", "thinking": "x"}])),
            answer(json!([{"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}])),
            user(json!([{"type": "tool_result", "content": "files"}])),
            answer(json!([{"type": "text", "text": "two files"}])),
            user(json!("<command-name>/cost</command-name>")),
        ]);
        fs::write(&old, format!("{before}{since}{{torn")).unwrap();
        fs::write(
            &new,
            lines(&[user(json!([{"type": "text", "text": "two"}])), answer(json!([]))]),
        )
        .unwrap();
        let visit = |id: &str, path: &Path, source: &str| {
            json!({"session_id": id, "transcript_path": path, "source": source}).to_string()
        };
        let visits = [visit("a", &old, "resume"), visit("b", &new, "clear")].join("\n\n");
        let marks = [(old, before.len() as u64)];
        let found = meanwhile(&marks, &visits);
        assert_eq!(found.went_to, ["a", "b"]);
        let said = found.said.unwrap();
        let prompts: Vec<_> = said.iter().map(|one| one.prompt.as_str()).collect();
        assert_eq!(prompts, ["one", "two"]);
        let parts = said[0].parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Step(step) => step.title.clone(),
            other => panic!("{other:?}"),
        });
        assert_eq!(parts.collect::<Vec<_>>(), ["Bash: ls", "two files"]);
        // A conversation of its own list was there before; nothing but where it went is known.
        let back = meanwhile(&marks, &visit("c", &new, "resume"));
        assert_eq!(
            (back.went_to, back.said.map(|said| said.len())),
            (vec!["c".to_owned()], Some(1))
        );
        assert_eq!(
            meanwhile(&[], "nonsense"),
            Meanwhile {
                went_to: vec![],
                said: Some(vec![])
            }
        );
    }

    #[test]
    fn the_files_of_one_conversation_are_found_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("projects/-w-a");
        fs::create_dir_all(project.join("6f1f")).unwrap();
        for name in ["6f1f.jsonl", "7a2b.jsonl"] {
            fs::write(project.join(name), "{}\n").unwrap();
        }
        let mut found = kept(folder.path(), "6f1f");
        found.sort();
        assert_eq!(found, [project.join("6f1f"), project.join("6f1f.jsonl")]);
        for hostile in ["", ".", "..", "../-w-a/7a2b", "*", "6f1f/../7a2b"] {
            assert_eq!(kept(folder.path(), hostile), Vec::<PathBuf>::new(), "{hostile}");
        }
        let env = |pairs: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
        };
        let both = env(&[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "/c")]);
        assert_eq!(home(&both), Some(PathBuf::from("/c")));
        assert_eq!(home(&env(&[("HOME", "/h")])), Some(PathBuf::from("/h/.claude")));
    }
}
