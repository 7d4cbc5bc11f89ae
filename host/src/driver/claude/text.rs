//! Keeps what people write from being anything but words to Claude Code. In a user message it takes `/word` at the
//! start for a command (`/clear`) and puts the file in for `@path`, without asking, also outside the workspace.

use crate::driver::plain;

/// From this version on `"client_composed": true` turns both off, and nothing of the text is changed.
const CLIENT_COMPOSED_SINCE: [u64; 3] = [2, 1, 248];

/// `2.1.329 (Claude Code)` gives `[2, 1, 329]`.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let digits = version
        .trim()
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .next()?;
    let mut parts = digits.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// The text as that version may be given it. An unknown version counts as an old one.
pub(super) fn harmless(text: &str, version: Option<&str>) -> String {
    if version
        .and_then(numbers)
        .is_some_and(|numbers| numbers >= CLIENT_COMPOSED_SINCE)
    {
        return text.to_owned();
    }
    plain::harmless(text)
}

#[cfg(test)]
mod tests {
    use super::{harmless, numbers};

    #[test]
    fn versions_are_read() {
        assert_eq!(numbers("2.1.329 (Claude Code)"), Some([2, 1, 329]));
        assert_eq!(numbers("2.1.248-beta.1"), Some([2, 1, 248]));
        assert_eq!(numbers("next"), None);
        assert_eq!(numbers("2.1"), None);
    }

    #[test]
    fn a_new_version_gets_the_text_as_it_is() {
        let text = "/clear and @/etc/passwd and me@example.com";
        assert_eq!(harmless(text, Some("2.1.248")), text);
        assert_eq!(harmless(text, Some("3.0.0")), text);
    }

    #[test]
    fn an_old_or_unknown_version_never_sees_a_command_or_a_path() {
        for version in [Some("2.1.197"), Some("2.1.247"), Some("?"), None] {
            assert_eq!(harmless("/clear", version), "> /clear");
            assert_eq!(
                harmless(" \n\u{feff}\u{200b}/clear", version),
                "> \n\u{feff}\u{200b}/clear".replacen("> ", ">  ", 1)
            );
            assert_eq!(
                harmless("see @/etc/passwd @\"a b\"", version),
                "see @ /etc/passwd @ \"a b\""
            );
            assert_eq!(harmless("a / b", version), "a / b");
        }
    }
}
