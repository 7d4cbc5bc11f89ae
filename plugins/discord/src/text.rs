//! Between Discord's text and ours: what people wrote becomes Markdown with persons as `<@id>`, what an agent wrote
//! becomes what Discord can show. Source: docs.discord.com/developers/reference#message-formatting.

use botyard_sdk::link::honest;
use botyard_sdk::split::one_line;
use botyard_sdk::types::Person;

/// What a person wrote, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Mentions of the bot cut out, persons as `<@id>`.
    pub text: String,
    /// The bot itself was named, by its name or by the role that Discord made for it.
    pub addressed: bool,
}

/// Reads Discord's `<...>` sequences: persons, roles, channels, commands, emoji and times.
pub fn hear(raw: &str, me: Option<&str>, my_role: Option<&str>) -> Heard {
    let mut heard = Heard {
        text: String::with_capacity(raw.len()),
        addressed: false,
    };
    let mut rest = raw;
    while let Some(start) = rest.find('<') {
        heard.text.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let word = after
            .find('>')
            .filter(|end| *end <= 120 && !after[..*end].contains(['<', '\n']))
            .map(|end| (&after[..end], &after[end + 1..]));
        match word {
            Some((inside, tail)) if special(inside, me, my_role, &mut heard) => rest = tail,
            _ => {
                heard.text.push('<');
                rest = after;
            }
        }
    }
    heard.text.push_str(rest);
    heard.text = heard.text.trim().to_owned();
    heard
}

pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// One `<...>` without its brackets; false: it is none of Discord's.
fn special(inside: &str, me: Option<&str>, my_role: Option<&str>, heard: &mut Heard) -> bool {
    let named = |text: &mut String| {
        // `hello <@BOT> there` keeps one space.
        if text.ends_with(' ') {
            text.pop();
        }
    };
    if let Some(id) = inside.strip_prefix("@&").filter(|id| is_id(id)) {
        if Some(id) == my_role {
            heard.addressed = true;
            named(&mut heard.text);
        } else {
            heard.text.push_str(&format!("<@&{id}>"));
        }
        return true;
    }
    if let Some(id) = inside
        .strip_prefix('@')
        .map(|id| id.strip_prefix('!').unwrap_or(id))
        .filter(|id| is_id(id))
    {
        if Some(id) == me {
            heard.addressed = true;
            named(&mut heard.text);
        } else {
            heard.text.push_str(&format!("<@{id}>"));
        }
        return true;
    }
    if let Some(id) = inside.strip_prefix('#').filter(|id| is_id(id)) {
        heard.text.push_str(&format!("<#{id}>"));
        return true;
    }
    let parts: Vec<&str> = inside.split(':').collect();
    match parts.as_slice() {
        // `<:name:id>` and `<a:name:id>`.
        ["" | "a", name, id] if is_id(id) => heard.text.push_str(&format!(":{name}:")),
        // `</name:id>`.
        [name, id] if name.starts_with('/') && is_id(id) => heard.text.push_str(name),
        _ => return false,
    }
    true
}

/// What an agent wrote, as Discord shows it: tables as code, pictures as links, headings no deeper than three, and
/// labels of links that pretend to be another address taken off. Nothing of the text is lost; code stays as it is.
pub fn speak(markdown: &str) -> String {
    let lines: Vec<&str> = markdown.split_inclusive('\n').collect();
    let mut spoken = String::with_capacity(markdown.len() + 16);
    let mut fence: Option<String> = None;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let trimmed = line.trim();
        if let Some(mark) = &fence {
            if trimmed.starts_with(mark.as_str()) && trimmed.chars().all(|c| mark.starts_with(c)) {
                fence = None;
            }
            spoken.push_str(line);
        } else if let Some(mark) = fence_of(trimmed) {
            fence = Some(mark);
            spoken.push_str(line);
        } else if let Some(rows) = table(&lines[at..]) {
            spoken.push_str(&drawn(&lines[at..at + rows]));
            at += rows;
            continue;
        } else {
            spoken.push_str(&honest(&heading(line), ["<", ">"]));
        }
        at += 1;
    }
    spoken
}

fn fence_of(line: &str) -> Option<String> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = line.chars().take_while(|c| *c == mark).count();
    (count >= 3 && !(mark == '`' && line[count..].contains('`'))).then(|| mark.to_string().repeat(count))
}

/// `#### x` is `### x`: Discord knows three.
fn heading(line: &str) -> String {
    let marks = line.bytes().take_while(|byte| *byte == b'#').count();
    if (4..=6).contains(&marks) && line[marks..].starts_with(' ') {
        return format!("###{}", &line[marks..]);
    }
    line.to_owned()
}

/// How many of these lines are one table: a row, a delimiter row, rows.
fn table(lines: &[&str]) -> Option<usize> {
    let is_row = |line: &str| line.contains('|') && !line.trim().is_empty();
    let head = lines.first()?;
    let rule = lines.get(1)?.trim();
    let is_rule = rule.contains('-') && rule.contains('|') && rule.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
    if !is_row(head) || !is_rule || cells(head).len() != cells(rule).len() {
        return None;
    }
    Some(2 + lines[2..].iter().take_while(|line| is_row(line)).count())
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let row = row
        .strip_suffix('|')
        .filter(|rest| !rest.ends_with('\\'))
        .unwrap_or(row);
    let mut cells = vec![String::new()];
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'|') => {
                chars.next();
                cells.last_mut().expect("one is there").push('|');
            }
            '|' => cells.push(String::new()),
            c => cells.last_mut().expect("one is there").push(c),
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// How wide a text is in a fixed font, near enough: East Asian wide letters and emoji take two.
fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
            0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// Columns wider than this make lines that no phone shows: then cells stand as they are.
const WIDEST: usize = 40;

fn drawn(rows: &[&str]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 1)
        .map(|(_, row)| cells(row))
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide: Vec<usize> = (0..columns)
        .map(|at| {
            let widest = rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max();
            widest.unwrap_or(0).min(WIDEST)
        })
        .collect();
    let line = |row: &[String]| -> String {
        let padded: Vec<String> = wide
            .iter()
            .enumerate()
            .map(|(at, wide)| {
                let cell = row.get(at).map_or("", String::as_str);
                format!("{cell}{}", " ".repeat(wide.saturating_sub(width(cell))))
            })
            .collect();
        padded.join(" │ ").trim_end().to_owned()
    };
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        text.push_str(&line(row));
        text.push('\n');
        if at == 0 {
            let rule: Vec<String> = wide.iter().map(|wide| "─".repeat(*wide)).collect();
            text.push_str(&rule.join("─┼─"));
            text.push('\n');
        }
    }
    // A run of backticks within a cell must not end the block.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let mark = "`".repeat(longest.max(2) + 1);
    format!("{mark}\n{text}{mark}\n")
}

/// Plain words as Discord's Markdown, on one line: what would be an emphasis, a link or a heading is not.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 8);
    for c in one_line(text).chars() {
        let first = plain.is_empty() && matches!(c, '#' | '>' | '-' | '+');
        if first || matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '[' | '<') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

/// As [`plain`], but `<@id>` of a person stays a mention: for words of the host's own.
pub fn naming(text: &str) -> String {
    let mut named = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("<@") {
        let id: String = rest[start + 2..].chars().take_while(char::is_ascii_digit).collect();
        let end = start + 2 + id.len();
        let mention = !id.is_empty() && rest[end..].starts_with('>');
        let cut = if mention { start } else { start + 2 };
        named.push_str(&words(&rest[..cut]));
        if mention {
            named.push_str(&format!("<@{id}>"));
        }
        rest = &rest[if mention { end + 1 } else { cut }..];
    }
    named.push_str(&words(rest));
    named
}

/// [`plain`] that keeps the spaces at both ends.
fn words(text: &str) -> String {
    let space = |end: bool| if end { " " } else { "" };
    let inner = plain(text);
    if inner.is_empty() {
        return space(!text.is_empty()).to_owned();
    }
    format!(
        "{}{inner}{}",
        space(text.starts_with(char::is_whitespace)),
        space(text.ends_with(char::is_whitespace))
    )
}

/// A person of whom the id is known.
pub(crate) fn person(id: &str) -> Person {
    Person {
        id: id.to_owned(),
        name: None,
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot: false,
    }
}

#[cfg(test)]
mod tests;
