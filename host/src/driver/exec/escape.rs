//! Takes out of a text what is meant for a terminal: colors, titles, the bell. A chat would show it as garbage.

/// How far a sequence has come: it may come in pieces.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    #[default]
    None,
    /// The escape character, and perhaps some between it and the last.
    Begun,
    /// `ESC [`: to the first character from `@` on.
    Control,
    /// `ESC ]` and its like: words to the bell or to `ESC \`; here no further than their line, so that one without an end
    /// takes not all with it.
    Words,
    /// The escape character in such words.
    WordsEnd,
}

impl Escape {
    /// Whether this character, the next, is text.
    pub(super) fn passes(&mut self, c: char) -> bool {
        *self = match (*self, c) {
            (Self::Words, '\u{1b}') => Self::WordsEnd,
            (Self::WordsEnd, '\\') | (Self::Words, '\u{7}' | '\u{9c}') => Self::None,
            (Self::Words, c) if c != '\n' => Self::Words,
            (_, '\u{1b}') => Self::Begun,
            (Self::Begun | Self::WordsEnd, '[') | (_, '\u{9b}') => Self::Control,
            (Self::Begun | Self::WordsEnd, ']' | 'P' | 'X' | '^' | '_') | (_, '\u{9d}') => Self::Words,
            (Self::Begun, ' '..='/') => Self::Begun,
            (Self::Begun | Self::WordsEnd, '0'..='~') | (Self::Control, '@'..='~') => Self::None,
            (Self::Control, ' '..='?') => Self::Control,
            (_, c) => {
                *self = Self::None;
                return !c.is_control() || matches!(c, '\n' | '\r' | '\t');
            }
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_however_they_come_and_what_is_no_sequence_stays() {
        let cases = [
            ("\u{1b}[1;31mred\u{1b}[0m [31m", "red [31m"),
            (
                "\u{1b}]0;a title\u{7}one \u{1b}]8;;http://x\u{1b}\\two\u{1b}]8;;\u{1b}\\",
                "one two",
            ),
            ("a\u{1b}(Bb\u{1b}=c\u{1b}7d\u{9b}2Ke", "abcde"),
            ("\u{1b}Pq#0\u{1b}\\after\u{1b}\u{1b}[Aup", "afterup"),
            // Without an end: no further than the line.
            ("\u{1b}]0;for ever\nand\u{1b}[31\non\u{1b}\n.", "\nand\non\n."),
            ("\u{1b}[31für\u{8}\u{7}\0\t日本 😀\r\n", "ür\t日本 😀\r\n"),
        ];
        for (printed, text) in cases {
            let mut escape = Escape::default();
            let passed: String = printed.chars().filter(|c| escape.passes(*c)).collect();
            assert_eq!(passed, text, "{printed:?}");
        }
    }
}
