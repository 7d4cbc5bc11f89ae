//! Links that lie: whose label is an address, but not the one that they lead to. People are shown both.

use std::borrow::Cow;

use crate::split::after;

/// Markdown without links that lie: `[https://a.b](https://c.d)` becomes `https://a.b (https://c.d)`, with `around` the
/// address, which links by itself. Pictures are links; code stays as it is, and so does every other link.
pub fn honest<'a>(markdown: &'a str, around: [&str; 2]) -> Cow<'a, str> {
    if !markdown.contains("](") {
        return Cow::Borrowed(markdown);
    }
    let mut honest = String::with_capacity(markdown.len() + 16);
    let (mut open, mut begin, mut end) = (None, 0, 0);
    for line in markdown.split_inclusive('\n') {
        let next = after(open, line);
        // A label may go over the end of a line, and over that of a paragraph not.
        if open.is_some() || next.is_some() || line.trim().is_empty() {
            links(&markdown[begin..end], around, &mut honest);
            honest.push_str(line);
            begin = end + line.len();
        }
        end += line.len();
        open = next;
    }
    links(&markdown[begin..], around, &mut honest);
    Cow::Owned(honest)
}

/// The links of a paragraph.
fn links(text: &str, around: [&str; 2], out: &mut String) {
    let mut labels = Labels { text, from: 0 };
    let (mut at, mut label) = (0, labels.next());
    // Behind the last label there is no link.
    while let Some((open, close)) = label {
        if open < at {
            // It stands in code, or in a link.
            label = labels.next();
            continue;
        }
        let rest = &text[at..];
        let Some(before) = rest.find(['`', '\\', '[', '!']) else {
            break;
        };
        out.push_str(&rest[..before]);
        at += before;
        let rest = &rest[before..];
        let picture = usize::from(rest.starts_with("!["));
        let found = (open == at + picture).then(|| link(&text[open..labels.ahead()], close - open));
        if let Some(found) = found.flatten() {
            let end = open + found.length;
            out.push_str(&shown(&found, &text[open..end], around));
            at = end;
            continue;
        }
        let taken = match rest.as_bytes()[0] {
            b'`' => code(rest),
            b'\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => 1,
        };
        out.push_str(&rest[..taken]);
        at += taken;
    }
    out.push_str(&text[at..]);
}

/// What may be the label of a link: where its brackets open and close. No label has the end of another in it, so each
/// byte is looked at a few times, however deep brackets stand in each other.
struct Labels<'a> {
    text: &'a str,
    /// Behind the `](` of the last one.
    from: usize,
}

impl Labels<'_> {
    /// Where the next label closes, or the text ends: a link that goes over it is none.
    fn ahead(&self) -> usize {
        let next = self.text[self.from..].find("](");
        next.map_or(self.text.len(), |next| self.from + next)
    }
}

impl Iterator for Labels<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (from, close) = (self.from, self.from + self.text[self.from..].find("](")?);
            self.from = close + 2;
            let mut depth = 0_usize;
            for (at, byte) in self.text[from..close].bytes().enumerate().rev() {
                match byte {
                    b']' => depth += 1,
                    b'[' if depth == 0 => return Some((from + at, close)),
                    b'[' => depth -= 1,
                    _ => {}
                }
            }
        }
    }
}

/// How long the code is that begins here, on this line: what a reader may or may not take for code over several lines
/// is looked at all the same. A run of backticks that no equal one ends stands for itself.
fn code(text: &str) -> usize {
    let line = text.split('\n').next().unwrap_or_default();
    let run = |text: &str| text.bytes().take_while(|byte| *byte == b'`').count();
    let opening = run(line);
    let mut at = opening;
    while let Some(next) = line[at..].find('`') {
        at += next;
        let closing = run(&line[at..]);
        at += closing;
        if closing == opening {
            return at;
        }
    }
    opening
}

/// A link as it is written.
struct Link<'a> {
    label: &'a str,
    url: &'a str,
    /// What stands behind the address and is no title; some readers take it for a link all the same.
    more: &'a str,
    length: usize,
}

/// The link that `text` begins with, whose label closes at `close`. What another one begins in is none, so `text` goes to
/// where the next label closes.
fn link(text: &str, close: usize) -> Option<Link<'_>> {
    let (label, after) = (&text[1..close], &text[close + 2..]);
    let target = after.trim_start();
    let (url, behind) = match target.strip_prefix('<') {
        Some(target) => target.split_once('>')?,
        None => {
            let end = target.find(|c: char| c == ')' || c.is_whitespace())?;
            target.split_at(end)
        }
    };
    let title = behind.trim_start();
    let quote = title.chars().next().filter(|c| matches!(c, '"' | '\''));
    let closed = match quote {
        Some(quote) => title[1..].split_once(quote)?.1,
        None => title,
    };
    let close = closed.find(')')?;
    let web = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let length = text.len() - closed.len() + close + 1;
    let more = closed[..close].trim_end();
    (web("http://") || web("https://")).then_some(Link {
        label,
        url,
        more,
        length,
    })
}

fn shown(link: &Link<'_>, whole: &str, around: [&str; 2]) -> String {
    let Link { label, url, more, .. } = *link;
    let bare = |address: &str| {
        let address = address.trim().trim_matches(['*', '_', '`', '~']).to_lowercase();
        let address = address
            .strip_prefix("https://")
            .or(address.strip_prefix("http://"))
            .unwrap_or(&address);
        address.trim_end_matches('/').to_owned()
    };
    let host = |address: &str| {
        bare(address)
            .split(['/', '?', '#'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if more.is_empty() && (label.trim().is_empty() || bare(label) == bare(url)) {
        return url.to_owned();
    }
    let first = host(label);
    let is_address = label.contains("://")
        || (!first.contains(char::is_whitespace)
            && first.rsplit_once('.').is_some_and(|(name, end)| {
                !name.is_empty() && end.chars().count() >= 2 && end.chars().all(char::is_alphabetic)
            }));
    if is_address && first != host(url) {
        // Without its brackets it is no link, and people see where it leads.
        let space = if more.is_empty() { "" } else { " " };
        return format!("{label} ({}{url}{}{space}{more})", around[0], around[1]);
    }
    whole.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(markdown: &str) -> String {
        honest(markdown, ["", ""]).into_owned()
    }

    #[test]
    fn a_label_that_is_another_address_is_shown_with_the_address() {
        for (lie, shown) in [
            (
                "[https://bank.com](https://evil.io/a)",
                "https://bank.com (https://evil.io/a)",
            ),
            ("[bank.com/login](https://evil.io)", "bank.com/login (https://evil.io)"),
            ("[**bank.com**](HTTPS://evil.io)", "**bank.com** (HTTPS://evil.io)"),
            (
                "[see https://bank.com](https://evil.io)",
                "see https://bank.com (https://evil.io)",
            ),
            (
                "[`https://bank.com`](https://evil.io)",
                "`https://bank.com` (https://evil.io)",
            ),
            (
                "[https://bank.com [1]](https://evil.io)",
                "https://bank.com [1] (https://evil.io)",
            ),
            (
                "[https://bank.com\n](https://evil.io)",
                "https://bank.com\n (https://evil.io)",
            ),
            (
                "[bank.com]( <https://evil.io> \"a) title\")",
                "bank.com (https://evil.io)",
            ),
            (
                "[bank.com](https://bank.com@evil.io)",
                "bank.com (https://bank.com@evil.io)",
            ),
            ("![bank.com](https://evil.io)", "bank.com (https://evil.io)"),
            ("a` [bank.com](https://evil.io)", "a` bank.com (https://evil.io)"),
            (
                "- a `\n- [bank.com](https://evil.io) `",
                "- a `\n- bank.com (https://evil.io) `",
            ),
            (
                "array[0] [bank.com](https://evil.io)",
                "array[0] bank.com (https://evil.io)",
            ),
        ] {
            assert_eq!(plain(lie), shown);
        }
        assert_eq!(
            honest("[a.bc](https://evil.io)", ["<", ">"]),
            "a.bc (<https://evil.io>)"
        );
    }

    #[test]
    fn links_that_do_not_lie_and_code_stay() {
        for same in [
            "[docs](https://x.y/z) and [bank.com/a](https://bank.com/b \"title\")",
            "[main.rs](src/main.rs) [bank.com](mailto:a@b.c)",
            "`[bank.com](https://evil.io)` ``a ` [bank.com](https://evil.io)``",
            "```\n[bank.com](https://evil.io)\n```\n",
            "a\n\n~~~~\n\n[bank.com](https://evil.io)\n~~~\n~~~~\nb",
            "\\[bank.com](https://evil.io)",
            "[bank.com\n\n](https://evil.io)",
            "[bank.com](https://evil.io",
            "[](https://evil.io word)",
            "![no",
        ] {
            assert_eq!(plain(same), same);
        }
        assert_eq!(
            plain("[https://x.y](https://x.y/) [](https://c.d)"),
            "https://x.y/ https://c.d"
        );
        assert_eq!(plain("![a cat](https://x.y/c.png)"), "[a cat](https://x.y/c.png)");
    }

    #[test]
    fn whatever_stands_in_brackets_is_looked_at_a_few_times_only() {
        let times = |text: &str| text.repeat((1 << 18) / text.len());
        // Nothing of this is a link that lies. Once for each bracket to the end would be hours.
        for same in [
            times("["),
            times("]("),
            times("[") + "](",
            times("[") + "x](https://evil.io)",
            times("[[1, 2], ") + "](https://evil.io",
            times("[a.bc](https://evil.io"),
            times("[a.bc](<https://evil.io"),
            times("[a.bc](https://evil.io \""),
            times("![a.bc]("),
            times("[a]["),
            String::from("[a.bc](") + &times(" "),
        ] {
            let shown = plain(&same);
            assert!(shown == same, "{}", &same[..30]);
        }
        let deep = format!("{}a.bc{}(https://evil.io)", times("["), times("]"));
        assert!(plain(&deep) == deep);
        // And this does, however long its label is.
        let label = format!("https://bank.com {}", times("[x] "));
        let lie = format!("[{label}](https://evil.io)");
        assert!(plain(&lie) == format!("{label} (https://evil.io)"));
        let lies = plain(&times("[a.bc](https://evil.io) "));
        assert_eq!(lies.matches("a.bc (https://evil.io) ").count(), (1 << 18) / 24);
    }

    proptest! {
        #[test]
        fn whatever_is_written_comes_through_and_is_honest(
            text in "(\\[|\\]\\(|\\)|<|>|`|```\n|\n|!|\\\\| |\"|https://evil\\.io|https://bank\\.com|é|word){0,40}",
        ) {
            let once = plain(&text);
            prop_assert_eq!(&plain(&once), &once);
            let words = |text: &str| text.matches("word").count();
            prop_assert_eq!(words(&once), words(&text));
        }
    }
}
