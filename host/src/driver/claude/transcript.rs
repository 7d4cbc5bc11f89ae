//! What Claude Code keeps of a conversation: `projects/FOLDER/ID.jsonl` of its settings' folder, and files beside it
//! in a folder of the same name. FOLDER is made of where it worked; it is looked for and not derived, as long names are
//! cut.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

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

#[cfg(test)]
mod tests {
    use super::*;

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
