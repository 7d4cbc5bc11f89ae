//! The demo agent's words.

/// What it is, said in the first answer of every conversation.
pub(super) const INTRODUCTION: &str = "\
I am botyard's **demo agent**: a small program without a model behind it, so I do not understand you. I am here so \
that you can see what this chat can do before a real agent is connected.

**To connect a real one** (it takes about a minute):

1. Install Claude Code: `npm install -g @anthropic-ai/claude-code`
2. Run `claude` once in a terminal and log in.
3. Start botyard again. It finds `claude` by itself.

Or name any command under `[agent.NAME]` in `bots.toml`, with an API key as a secret.
";

/// What it can show, by keyword.
pub(super) const HELP: &str = "\
Say one of these words and I show you something:

| word | what you will see |
| --- | --- |
| `plan` | a plan whose steps get done one after the other |
| `tool` | a tool at work: I list the files of my working folder |
| `write` | a question: I may write `hello-from-botyard.md` only if you allow it |
| `long` | a long answer that you can stop in the middle |
| `markdown` | headings, lists, a table, code |
| `error` | how a failed turn looks |
";

pub(super) const MARKDOWN: &str = "\
## A heading

Some **bold**, some *italic*, some `code`, and a [link](https://www.rust-lang.org).

1. First
2. Second
   - with a point below it

> Somebody said this.

| language | since |
| --- | ---: |
| C | 1972 |
| Rust | 2015 |

```rust
fn greeting(name: &str) -> String {
    format!(\"Hello {name}, from the yard\")
}
```
";

/// The paragraphs of the long answer.
pub(super) const LONG: [&str; 8] = [
    "Once there was a terminal in which a program lived that could write programs.",
    "It was good company for the one person who sat in front of it. But the others, who were in the same chat room all \
     day long, only ever heard of it.",
    "So somebody built a yard: a place with a gate for every chat and a stable for every program.",
    "A message that comes through a gate is written down first. Then it is answered for, and only then it is worked on; \
     that way no message is lost, not even when the lights go out.",
    "Every conversation has a program of its own, which remembers what was said. When nobody talks to it for a while, it \
     sleeps, and wakes up at the next message.",
    "Before it does something that it may not do by itself, it asks. Somebody presses a button, and it goes on.",
    "And while it works, everybody can see what it does: what it reads, what it plans, what it thinks it has found.",
    "You could have stopped this answer at any moment. If you did not, this is its end.",
];

/// The word that decides what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Plan,
    Tool,
    Write,
    Long,
    Markdown,
    Error,
    Help,
    Echo,
}

/// The first keyword in the text.
pub(super) fn topic(text: &str) -> Topic {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .filter_map(|word| match word.to_lowercase().as_str() {
            "plan" => Some(Topic::Plan),
            "tool" | "tools" | "files" | "list" => Some(Topic::Tool),
            "write" => Some(Topic::Write),
            "long" => Some(Topic::Long),
            "markdown" => Some(Topic::Markdown),
            "error" | "fail" => Some(Topic::Error),
            "help" => Some(Topic::Help),
            _ => None,
        })
        .next()
        .unwrap_or(Topic::Echo)
}

/// A text in the pieces in which it is streamed: words with the space behind them.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_keyword_counts() {
        assert_eq!(topic("Please make a PLAN, then write"), Topic::Plan);
        assert_eq!(topic("toolbox"), Topic::Echo);
        assert_eq!(topic(""), Topic::Echo);
    }

    #[test]
    fn pieces_make_up_the_whole() {
        assert_eq!(pieces(MARKDOWN).collect::<String>(), MARKDOWN);
    }
}
