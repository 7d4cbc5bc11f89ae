//! What a command prints, as text while it comes.

use super::escape::Escape;

/// More than this of an answer is not kept, in bytes.
const LIMIT: usize = 1024 * 1024;

/// Turns bytes into text. A character that comes in two pieces waits for its end.
#[derive(Debug, Default)]
pub(super) struct Text {
    half: Vec<u8>,
    escape: Escape,
    pub(super) whole: String,
    cut: bool,
}

impl Text {
    /// The text that these bytes make.
    pub(super) fn add(&mut self, bytes: &[u8]) -> String {
        self.half.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.half);
        let mut out = String::new();
        for chunk in bytes.utf8_chunks() {
            out.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let is_last = std::ptr::eq(invalid.as_ptr_range().end, bytes.as_ptr_range().end);
            if is_last && is_begun(invalid) {
                self.half = invalid.to_vec();
            } else if !invalid.is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.keep(out)
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) -> String {
        let half = std::mem::take(&mut self.half);
        let rest = String::from_utf8_lossy(&half).into_owned();
        self.keep(rest)
    }

    fn keep(&mut self, mut text: String) -> String {
        text.retain(|c| self.escape.passes(c));
        let room = LIMIT.saturating_sub(self.whole.len());
        if self.cut {
            text.clear();
        } else if text.len() > room {
            self.cut = true;
            text.truncate(text.floor_char_boundary(room));
            text.push_str("\n… (it printed more than is shown)");
        }
        self.whole.push_str(&text);
        text
    }
}

/// The beginning of a character that may still come whole.
fn is_begun(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => false,
        Err(error) => error.error_len().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_whole_however_they_come() {
        let words = "für 日本 😀\n";
        for size in 1..6 {
            let mut text = Text::default();
            let mut shown = words
                .as_bytes()
                .chunks(size)
                .map(|part| text.add(part))
                .collect::<String>();
            shown.push_str(&text.end());
            assert_eq!((shown.as_str(), text.whole.as_str()), (words, words));
        }
        let mut text = Text::default();
        assert_eq!(text.add(b"a\xffb\0\xf0\x9f"), "a\u{fffd}b");
        assert_eq!(text.end(), "\u{fffd}");
    }

    #[test]
    fn escape_sequences_are_taken_out_however_they_come() {
        let printed = "\x1b[1;32mgrün\x1b[0m\x1b]0;title\x1b\\ \x07and\x1b(B plain\n";
        for size in 1..6 {
            let mut text = Text::default();
            let pieces = printed.as_bytes().chunks(size);
            let mut shown = pieces.map(|part| text.add(part)).collect::<String>();
            shown.push_str(&text.end());
            assert_eq!(
                (shown.as_str(), text.whole.as_str()),
                ("grün and plain\n", "grün and plain\n")
            );
        }
    }

    #[test]
    fn an_endless_answer_is_cut_once() {
        let mut text = Text::default();
        for _ in 0..40 {
            text.add(&[b'x'; 64 * 1024]);
        }
        assert!(text.whole.len() < LIMIT + 64, "{}", text.whole.len());
        assert_eq!(text.whole.matches("more than is shown").count(), 1);
    }
}
