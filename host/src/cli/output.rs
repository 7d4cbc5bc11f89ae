//! Where text goes, and how it is laid out.

use std::io::Write as _;

use serde::Serialize;

use super::failure::Failure;
use crate::chat::{UnixMillis, now};

/// Data. A reader that went away (`| head`) is no failure.
pub(super) fn data(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::user(format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Data as it comes. False: the reader went away.
pub(super) fn piece(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::user(format!("the output cannot be written: {error}"))),
    }
}

/// Data for programs.
pub(super) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::ours(error.to_string()))?;
    data(&text)
}

/// For the person at the terminal.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What the person at the terminal answers to this. None: nobody is there.
pub(super) fn asked(question: &str) -> Option<bool> {
    use std::io::{BufRead as _, IsTerminal as _};
    let input = std::io::stdin();
    if !input.is_terminal() {
        return None;
    }
    let mut out = std::io::stderr().lock();
    let _ = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
    let mut answer = String::new();
    input.lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// This terminal is a window of tmux.
pub(super) fn in_tmux() -> bool {
    crate::config::variable("TMUX").is_some_and(|value| !value.is_empty())
}

/// Columns as wide as their widest cell, two spaces apart. The first row is the heading.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How long ago: `12s`, `5m`, `3h`, `9d`.
pub(super) fn age(at: UnixMillis) -> String {
    let seconds = now().saturating_sub(at).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long it is until then.
pub(super) fn until(at: UnixMillis) -> String {
    age(now().saturating_mul(2).saturating_sub(at))
}

/// One line of it, at most so many characters, without what a terminal would act on.
pub(super) fn line(text: &str, chars_max: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= chars_max {
        return clean;
    }
    let mut cut: String = clean.chars().take(chars_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Text of others for a terminal: line breaks stay, escape sequences do not.
pub(super) fn safe(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}
