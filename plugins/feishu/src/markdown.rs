//! Between an agent's Markdown and that of Feishu's cards: nobody is pinged, no picture is asked for that Feishu does not
//! have, and no card has more tables than it may.

use botyard_sdk::link::honest;
use botyard_sdk::split::{clip, length, one_line};

/// What breaks a tag or a ping apart and is not seen: WORD JOINER.
const JOINER: char = '\u{2060}';

/// Tags of cards and messages that name people. They are no tags of HTML, so code loses nothing.
const TAGS: [&str; 6] = ["at", "/at", "person", "/person", "mention", "at_all"];

/// Follows a text's lines through its code fences, by CommonMark but with any indentation, as [`split`] does.
///
/// [`split`]: botyard_sdk::split::split
#[derive(Debug, Default)]
struct Fences {
    open: Option<(char, usize)>,
}

impl Fences {
    /// Whether the next line is code, or the beginning or the end of it.
    fn is_code(&mut self, line: &str) -> bool {
        let line = line.trim();
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'));
        let count = line.chars().take_while(|c| Some(*c) == mark).count();
        match (self.open, mark) {
            (Some((open, least)), _) => {
                if mark == Some(open) && count >= least && line.chars().count() == count {
                    self.open = None;
                }
                true
            }
            (None, Some(mark)) if count >= 3 && !(mark == '`' && line[count..].contains('`')) => {
                self.open = Some((mark, count));
                true
            }
            (None, _) => false,
        }
    }
}

/// Markdown of an agent's for a card: what would ping is broken apart, also in code; pictures are links, and no link lies.
pub fn quiet(markdown: &str) -> String {
    let mut linked = String::with_capacity(markdown.len());
    let mut fences = Fences::default();
    for line in markdown.split_inclusive('\n') {
        if fences.is_code(line) || !line.contains(['!', '<']) {
            linked.push_str(line);
        } else {
            linked.push_str(&links(line));
        }
    }
    // An address in angle brackets would be taken for a tag.
    hushed(&honest(&linked, ["", ""]))
}

/// Plain words, with what would ping broken apart.
pub fn hushed(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 8);
    silence(plain, &mut out);
    out
}

/// Breaks tags and pings apart.
fn silence(text: &str, out: &mut String) {
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let rest = match byte {
            b'<' | b'@' => &text[at + 1..],
            _ => continue,
        };
        let pings = if byte == b'<' {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '_')));
            let name = &rest[..end.unwrap_or(rest.len())];
            TAGS.iter().any(|tag| name.eq_ignore_ascii_case(tag))
        } else {
            rest.starts_with("_all") || rest.starts_with("_user_")
        };
        if pings {
            out.push_str(&text[done..=at]);
            out.push(JOINER);
            done = at + 1;
        }
    }
    out.push_str(&text[done..]);
}

/// Tags of cards that are links, with a label of their own.
const LINKS: [&str; 2] = ["<a ", "<link "];

/// `![alt](url)` outside of code becomes `[alt](url)`: a card shows only pictures that were uploaded, and is refused
/// with others. Links that are tags are shown as they were written.
fn links(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '`' => code_span(rest),
            '!' if rest.starts_with("![") => {
                out.push_str(if rest[2..].starts_with(']') { "[image" } else { "[" });
                rest = &rest[2..];
                continue;
            }
            '<' if LINKS.iter().any(|tag| begins(rest, tag)) => {
                out.extend(['<', JOINER]);
                rest = &rest[1..];
                continue;
            }
            c => c.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

fn begins(text: &str, tag: &str) -> bool {
    text.get(..tag.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(tag))
}

/// How long the code is that begins here; a run of backticks that no equal one ends is none, and stands for itself.
fn code_span(text: &str) -> usize {
    if !text.starts_with('`') {
        return 0;
    }
    let run = |text: &str| text.chars().take_while(|c| *c == '`').count();
    let opening = run(text);
    let mut at = opening;
    while let Some(next) = text[at..].find('`') {
        at += next;
        let closing = run(&text[at..]);
        at += closing;
        if closing == opening {
            return at;
        }
    }
    opening
}

/// Tables a card may have: five are documented to be the limit, three are what was seen to work
/// (larksuite/openclaw-lark#65).
pub const TABLES: usize = 3;

/// Tables beyond `left` become code, where they can be read as they stand.
pub fn fold_tables(markdown: &str, left: &mut usize) -> String {
    if !markdown.contains('|') {
        return markdown.to_owned();
    }
    let lines: Vec<&str> = markdown.split_inclusive('\n').collect();
    let mut out = String::with_capacity(markdown.len() + 16);
    let mut fences = Fences::default();
    let mut at = 0;
    while at < lines.len() {
        let table = !fences.is_code(lines[at])
            && lines[at].contains('|')
            && lines.get(at + 1).is_some_and(|next| is_rule(next));
        if !table {
            out.push_str(lines[at]);
            at += 1;
            continue;
        }
        let end = (at + 2..lines.len())
            .find(|row| !lines[*row].contains('|'))
            .unwrap_or(lines.len());
        let rows: String = lines[at..end].concat();
        if *left > 0 {
            *left -= 1;
            out.push_str(&rows);
        } else {
            let line = if rows.ends_with('\n') { "" } else { "\n" };
            out.push_str(&format!("```\n{rows}{line}```\n"));
        }
        at = end;
    }
    out
}

/// `| --- | :-: |`.
fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.contains('-') && line.contains('|') && line.chars().all(|c| matches!(c, '-' | ':' | '|' | ' '))
}

/// Plain words in a card's Markdown: what would mean something there is written as a character reference.
/// Source: open.feishu.cn/document/feishu-cards/card-json-v2-components/content-components/rich-text, special characters.
pub fn escape(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 8);
    let mut done = 0;
    for (at, byte) in plain.bytes().enumerate() {
        let entity = match byte {
            b'&' => "&#38;",
            b'<' => "&#60;",
            b'>' => "&#62;",
            b'*' => "&#42;",
            b'~' => "&#126;",
            b'`' => "&#96;",
            b'[' => "&#91;",
            b']' => "&#93;",
            b'_' => "&#95;",
            b'#' => "&#35;",
            b'|' => "&#124;",
            _ => continue,
        };
        out.push_str(&plain[done..at]);
        out.push_str(entity);
        done = at + 1;
    }
    out.push_str(&plain[done..]);
    out
}

/// As [`escape`], at most `limit` plain characters.
pub fn escape_clip(plain: &str, limit: usize) -> String {
    escape(&clip(plain, limit))
}

/// As [`escape`], but `<@ID>` of a person stays a mention, and code is code: for words of the host's own.
pub fn escape_naming(plain: &str) -> String {
    let mut out = String::new();
    let mut rest = plain;
    while let Some(at) = rest.find(['`', '<']) {
        out.push_str(&escape(&rest[..at]));
        rest = &rest[at..];
        // Code over several lines is none of the host's.
        let line = rest.split('\n').next().unwrap_or_default();
        let code = &line[..code_span(line)];
        let taken = if code.trim_matches('`').is_empty() && !code.is_empty() {
            out.push_str(&escape(code));
            code.len()
        } else if !code.is_empty() {
            out.push_str(&hushed(code));
            code.len()
        } else if let Some(id) = mentioned(rest) {
            out.push_str(&format!("<at id={id}></at>"));
            id.len() + 3
        } else {
            out.push_str(&escape("<"));
            1
        };
        rest = &rest[taken..];
    }
    out.push_str(&escape(rest));
    out
}

/// The person in a `<@ID>` at the beginning.
fn mentioned(text: &str) -> Option<&str> {
    let (id, _) = text.strip_prefix("<@")?.split_once('>')?;
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    (plain && !id.is_empty() && id != "all").then_some(id)
}

/// Inline code; a backtick within would end it.
pub fn code(plain: &str, limit: usize) -> String {
    format!("`{}`", hushed(&clip(&one_line(plain), limit).replace('`', "'")))
}

/// A block of code.
pub fn block(plain: &str, limit: usize) -> String {
    let plain = clip(plain.trim(), limit).replace("```", "'''");
    format!("```\n{}\n```", hushed(&plain))
}

/// How long a summary is.
const SUMMARY: usize = 80;

/// What lists of chats show: the first words, without Markdown's marks.
pub fn summary(markdown: &str) -> String {
    let mut line = String::new();
    for word in markdown.split_whitespace() {
        let before = line.len();
        line.extend(word.chars().filter(|c| !matches!(c, '*' | '`' | '#' | '|')));
        if line.len() > before {
            line.push(' ');
        }
        // What comes behind is not shown.
        if length(&line) > SUMMARY + 1 {
            break;
        }
    }
    // What a cut makes of a word may be a tag.
    hushed(&clip(line.trim_end(), SUMMARY))
}

#[cfg(test)]
pub(crate) mod tests;
