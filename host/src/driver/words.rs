//! How what an agent does reads to a person: one line, code blocks that cannot be left, and no more than fits.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

/// A step's detail and output are cut here, in bytes.
pub(super) const STEP_LIMIT: usize = 4 * 1024;
/// What is shown of a request for permission. Wider, because what is not seen is allowed unseen.
pub(super) const ASK_LIMIT: usize = 12 * 1024;
/// A title's length, in characters.
pub(super) const TITLE_LIMIT: usize = 100;

/// Lines that go and lines that come.
pub(super) fn diff(old: &str, new: &str) -> String {
    let side = |text: &str, sign: char| {
        text.lines().fold(String::new(), |mut out, line| {
            let _ = writeln!(out, "{sign} {line}");
            out
        })
    };
    let mut both = side(old, '-');
    both.push_str(&side(new, '+'));
    fenced("diff", both.trim_end_matches('\n'))
}

pub(super) fn pretty(input: &Value) -> String {
    serde_json::to_string_pretty(input).unwrap_or_default()
}

/// A code block that its content cannot end.
pub(super) fn fenced(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}")
}

/// A code span that its content cannot end.
pub(super) fn inline(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " ");
    let ticks = "`".repeat(longest_run(&line) + 1);
    if ticks.len() == 1 {
        format!("`{line}`")
    } else {
        format!("{ticks} {line} {ticks}")
    }
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Cuts on a character's boundary and says what is missing.
pub(super) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let room = limit.saturating_sub(48);
        let missing = text.len() - text.floor_char_boundary(room);
        text.truncate(text.floor_char_boundary(room));
        let _ = write!(text, "\n… ({missing} more bytes)");
    }
    text
}

/// Cuts and closes the code block that was open.
pub(super) fn cut_fenced(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let last = text.lines().next_back().unwrap_or_default();
    let fence = if last.len() >= 3 && last.bytes().all(|byte| byte == b'`') {
        last.to_owned()
    } else {
        String::new()
    };
    let cut = cut(text, limit.saturating_sub(fence.len() + 1));
    if fence.is_empty() {
        cut
    } else {
        format!("{cut}\n{fence}")
    }
}

pub(super) fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= TITLE_LIMIT {
        return words;
    }
    let mut short = words.chars().take(TITLE_LIMIT - 1).collect::<String>();
    short.push('…');
    short
}

pub(super) fn shorten_path(path: &str, workspace: &Path) -> String {
    match Path::new(path).strip_prefix(workspace) {
        Ok(inside) if !inside.as_os_str().is_empty() => inside.display().to_string(),
        _ => path.to_owned(),
    }
}
