//! Keeps what people write from being anything but words to a CLI that looks for commands and files in them: `/word` at
//! the start, `@path` anywhere.

/// The text with nothing in it that a CLI takes for a command or for a reference to a file.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let first = text.chars().find(|c| !c.is_whitespace() && !invisible(*c));
    if matches!(first, Some('/' | '!' | '#')) {
        // Not white space, which is trimmed: a word of ours that a command cannot begin with.
        out.push_str("> ");
    }
    for c in text.chars() {
        out.push(c);
        if c == '@' {
            // A reference is `@` and the path or the quotation mark right behind it.
            out.push(' ');
        }
    }
    out
}

/// Characters that a trim or a sanitiser may take away before it looks at the first one.
fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
