//! Between Slack's text and ours: what people wrote becomes Markdown, what an agent wrote can ping nobody.

use botyard_sdk::link::honest;
use botyard_sdk::split::length;
use botyard_sdk::types::Person;

/// What a person wrote, in our words.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Markdown; persons as `<@ID>`, mentions of the bot cut out.
    pub text: String,
    /// The persons named, each once.
    pub mentions: Vec<Person>,
    /// The bot itself was named.
    pub addressed: bool,
}

/// Reads Slack's mrkdwn: `<...>` sequences and the three entities. `me` is the bot's own user id.
/// Source: docs.slack.dev/messaging/formatting-message-text.
pub fn hear(raw: &str, me: Option<&str>) -> Heard {
    let mut heard = Heard {
        text: String::with_capacity(raw.len()),
        mentions: Vec::new(),
        addressed: false,
    };
    let mut rest = raw;
    while let Some(start) = rest.find('<') {
        unescape(&rest[..start], &mut heard.text);
        let after = &rest[start + 1..];
        let Some(end) = after.find('>') else {
            // Slack escapes every `<` of a person: a lone one is kept as it came.
            heard.text.push('<');
            rest = after;
            continue;
        };
        special(&after[..end], me, &mut heard);
        rest = &after[end + 1..];
    }
    unescape(rest, &mut heard.text);
    heard.text = heard.text.trim().to_owned();
    heard
}

/// One `<...>`, without its brackets.
fn special(inside: &str, me: Option<&str>, heard: &mut Heard) {
    let (target, label) = match inside.split_once('|') {
        Some((target, label)) => (target, Some(label).filter(|l| !l.is_empty())),
        None => (inside, None),
    };
    let text = &mut heard.text;
    if let Some(id) = target.strip_prefix('@') {
        if Some(id) == me {
            heard.addressed = true;
            // `hello <@BOT> there` keeps one space.
            if text.ends_with(' ') {
                text.pop();
            }
            return;
        }
        text.push_str(&format!("<@{id}>"));
        if !heard.mentions.iter().any(|person| person.id == id) {
            heard.mentions.push(person(id, label));
        }
    } else if let Some(id) = target.strip_prefix('#') {
        text.push('#');
        unescape(label.unwrap_or(id), text);
    } else if let Some(command) = target.strip_prefix('!') {
        match label {
            Some(label) => unescape(label, text),
            None => {
                text.push('@');
                text.push_str(command);
            }
        }
    } else {
        let shown = target.strip_prefix("mailto:").unwrap_or(target);
        match label {
            Some(label) if label != shown && label != target => {
                text.push('[');
                unescape(label, text);
                text.push_str("](");
                unescape(target, text);
                text.push(')');
            }
            _ => unescape(shown, text),
        }
    }
}

fn person(id: &str, name: Option<&str>) -> Person {
    Person {
        id: id.to_owned(),
        name: name.map(str::to_owned),
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot: false,
    }
}

/// The three entities, each once: `&amp;lt;` is the text `&lt;`.
fn unescape(raw: &str, into: &mut String) {
    let mut rest = raw;
    while let Some(start) = rest.find('&') {
        into.push_str(&rest[..start]);
        rest = &rest[start..];
        let (plain, length) = if rest.starts_with("&amp;") {
            ('&', 5)
        } else if rest.starts_with("&lt;") {
            ('<', 4)
        } else if rest.starts_with("&gt;") {
            ('>', 4)
        } else {
            ('&', 1)
        };
        into.push(plain);
        rest = &rest[length..];
    }
    into.push_str(rest);
}

/// What breaks a ping apart and is not seen: WORD JOINER.
const JOINER: char = '\u{2060}';

/// Beginnings of `<...>` sequences that Slack would act on.
const SPECIALS: [&str; 9] = [
    "<@",
    "<#C",
    "<#G",
    "<#D",
    "<!channel",
    "<!here",
    "<!everyone",
    "<!subteam",
    "<!date",
];

/// Bare words that clients and `link_names` turn into pings.
const WORDS: [&str; 3] = ["channel", "here", "everyone"];

/// Markdown of an agent's for a `markdown` block: no link in it lies, and nothing pings anybody, also not in code (Slack
/// looks for its sequences before it looks for code). `<!DOCTYPE` and `<!--` stay as they are.
pub fn quiet(markdown: &str) -> String {
    hushed(&honest(markdown, ["<", ">"]))
}

/// Any text, with what would ping broken apart.
fn hushed(markdown: &str) -> String {
    let mut quiet = String::with_capacity(markdown.len() + 8);
    let mut done = 0;
    for (at, byte) in markdown.bytes().enumerate() {
        if matches!(byte, b'<' | b'@') && pings(&markdown[..at], &markdown[at..]) {
            quiet.push_str(&markdown[done..=at]);
            quiet.push(JOINER);
            done = at + 1;
        }
    }
    quiet.push_str(&markdown[done..]);
    quiet
}

/// Whether Slack would act on what begins here.
fn pings(before: &str, rest: &str) -> bool {
    let Some(word) = rest.strip_prefix('@') else {
        return SPECIALS.iter().any(|s| rest.starts_with(s));
    };
    !before.ends_with(char::is_alphanumeric)
        && WORDS.iter().any(|w| {
            word.strip_prefix(w)
                .is_some_and(|tail| !tail.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
}

/// Plain words for an mrkdwn text object or the `text` fallback: the three characters escaped, pings broken.
pub fn escape(plain: &str) -> String {
    let quiet = hushed(plain);
    let mut escaped = String::with_capacity(quiet.len() + 8);
    let mut done = 0;
    for (at, byte) in quiet.bytes().enumerate() {
        let entity = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            _ => continue,
        };
        escaped.push_str(&quiet[done..at]);
        escaped.push_str(entity);
        done = at + 1;
    }
    escaped.push_str(&quiet[done..]);
    escaped
}

/// As [`escape_clip`], but `<@ID>` of a person stays a mention: for words of the host's own.
pub fn escape_naming(plain: &str, limit: usize) -> String {
    let mut named = String::new();
    let mut rest = plain;
    while let Some(start) = rest.find("<@") {
        let id: String = rest[start + 2..]
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let end = start + 2 + id.len();
        let mention = !id.is_empty() && rest[end..].starts_with('>');
        named.push_str(&escape(&rest[..if mention { start } else { start + 2 }]));
        if mention {
            named.push_str(&format!("<@{id}>"));
        }
        rest = &rest[if mention { end + 1 } else { start + 2 }..];
    }
    named.push_str(&escape(rest));
    if length(&named) <= limit {
        named
    } else {
        escape_clip(plain, limit)
    }
}

/// Escaped and at most `limit` long; an entity is never cut in two.
pub fn escape_clip(plain: &str, limit: usize) -> String {
    let whole = escape(plain);
    if length(&whole) <= limit {
        return whole;
    }
    let mut escaped = String::new();
    let mut left = limit.saturating_sub(1);
    for c in hushed(plain).chars() {
        let piece = escape(c.encode_utf8(&mut [0; 4]));
        let Some(rest) = left.checked_sub(length(&piece)) else {
            break;
        };
        left = rest;
        escaped.push_str(&piece);
    }
    escaped.push('…');
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(raw: &str) -> String {
        hear(raw, Some("UBOT")).text
    }

    #[test]
    fn slack_text_is_read_as_markdown() {
        assert_eq!(heard("a &amp;&lt;b&gt; &amp;lt; &x"), "a &<b> &lt; &x");
        assert_eq!(heard("<https://x.y/?a=1&amp;b=2>"), "https://x.y/?a=1&b=2");
        assert_eq!(
            heard("see <https://x.y|the &lt;page&gt;>"),
            "see [the <page>](https://x.y)"
        );
        assert_eq!(heard("<mailto:a@b.c|a@b.c>"), "a@b.c");
        assert_eq!(heard("<#C1|general> <#C2>"), "#general #C2");
        assert_eq!(heard("<!here> <!subteam^S1|@ops> <!date^1^x|noon>"), "@here @ops noon");
        assert_eq!(heard("1 < 2"), "1 < 2");
    }

    #[test]
    fn the_bot_is_cut_out_and_others_are_named() {
        let all = hear("<@UBOT> ask <@U1|ann> and <@U1>", Some("UBOT"));
        assert_eq!(
            all,
            Heard {
                text: "ask <@U1> and <@U1>".into(),
                mentions: vec![person("U1", Some("ann"))],
                addressed: true,
            }
        );
        assert_eq!(heard("hello <@UBOT> there"), "hello there");
    }

    #[test]
    fn an_agent_pings_nobody() {
        assert_eq!(
            quiet("<!channel> <@U1> @here"),
            "<\u{2060}!channel> <\u{2060}@U1> @\u{2060}here"
        );
        assert_eq!(
            quiet("<!DOCTYPE html> <!-- x --> a@here.org @heres"),
            "<!DOCTYPE html> <!-- x --> a@here.org @heres"
        );
        assert_eq!(
            escape("<!channel> & @everyone"),
            "&lt;\u{2060}!channel&gt; &amp; @\u{2060}everyone"
        );
    }

    #[test]
    fn links_that_lie_are_shown_with_where_they_lead() {
        assert_eq!(
            quiet("[https://bank.com](https://evil.io) [docs](https://x.y) `[bank.com](https://evil.io)`"),
            "https://bank.com (<https://evil.io>) [docs](https://x.y) `[bank.com](https://evil.io)`"
        );
        // What is no Markdown has no links.
        assert_eq!(escape("[bank.com](https://evil.io)"), "[bank.com](https://evil.io)");
    }

    #[test]
    fn the_host_may_name_persons() {
        assert_eq!(
            escape_naming("Allowed by <@U1> & <!here>", 99),
            "Allowed by <@U1> &amp; &lt;\u{2060}!here&gt;"
        );
        assert_eq!(escape_naming("<@ <@U1", 99), "&lt;\u{2060}@ &lt;\u{2060}@U1");
        assert_eq!(escape_naming("<@U1> said", 6), "&lt;\u{2060}…");
    }

    #[test]
    fn clipping_cuts_no_entity() {
        assert_eq!(escape_clip("<<<", 9), "&lt;&lt;…");
        assert_eq!(escape_clip("<<<", 12), "&lt;&lt;&lt;");
    }
}
