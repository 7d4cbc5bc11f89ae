//! How mistakes in bots.toml are told.

use std::fmt::Write as _;

use toml::de::{DeTable, DeValue};

/// A mistake in bots.toml, or a warning about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `bot[0].secrets.bot_token`; empty: the file as a whole.
    pub key: String,
    /// From 1; none where nothing stands in the file.
    pub line: Option<usize>,
    pub message: String,
    pub hint: Option<String>,
    /// It does not keep the host from running.
    pub warning: bool,
}

/// The file could not be read at all.
pub(super) fn unreadable(error: &std::io::Error) -> Problem {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    Problem {
        key: String::new(),
        line: None,
        message: if missing {
            "there is no such file".to_owned()
        } else {
            format!("cannot be read: {error}")
        },
        hint: missing.then(|| "start botyard in the folder of bots.toml, or name the file: --config PATH".to_owned()),
        warning: false,
    }
}

/// In the order of the lines; what has no line comes last.
pub(super) fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| (a.line.unwrap_or(usize::MAX), &a.key).cmp(&(b.line.unwrap_or(usize::MAX), &b.key)));
}

/// One problem after the other, as a person reads them: `bots.toml:12: bot[0].scope: unknown value`, and the hint
/// on a line of its own. `file` is the name to show.
pub fn render(file: &str, problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(file);
        if let Some(line) = problem.line {
            let _ = write!(text, ":{line}");
        }
        text.push_str(": ");
        if problem.warning {
            text.push_str("warning: ");
        }
        if !problem.key.is_empty() {
            let _ = write!(text, "{}: ", problem.key);
        }
        text.push_str(&problem.message);
        text.push('\n');
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
    }
    text
}

/// Finds the lines of problems that know only their key, such as those of [`super::check_against`], in the text
/// of bots.toml. A key that is not in the file gets the line of what it would stand in.
pub fn locate(text: &str, problems: &mut [Problem]) {
    let Ok(root) = DeTable::parse(text) else { return };
    for problem in problems.iter_mut().filter(|problem| problem.line.is_none()) {
        problem.line = offset(root.get_ref(), &problem.key).map(|at| line_of(text, at));
    }
}

fn offset(root: &DeTable<'_>, key: &str) -> Option<usize> {
    let mut table = Some(root);
    let mut found = None;
    for segment in key.split('.') {
        let (name, index) = match segment.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (segment.trim_matches('"'), None),
        };
        let Some((_, value)) = table.and_then(|table| table.iter().find(|(known, _)| known.get_ref() == name)) else {
            break;
        };
        let value = match (index, value.get_ref()) {
            (Some(index), DeValue::Array(list)) => list.get(index)?,
            _ => value,
        };
        found = Some(value.span().start);
        table = value.get_ref().as_table();
    }
    found
}

/// Counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1
}
