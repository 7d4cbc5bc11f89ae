//! A word as a pattern of SQLite's `GLOB`, which unlike `LIKE` knows sets of characters: so the word is found in any
//! writing, in any alphabet, without reading what does not have it.

use std::collections::HashMap;
use std::sync::LazyLock;

/// So much of a word is looked for: a pattern has an end (50,000 bytes by SQLite's documentation), and costs.
const CHARS_MAX: usize = 64;

/// Cased letters end before this, in Unicode 17.
const LAST: char = '\u{1FFFF}';

/// The other writings of a small letter.
static WRITINGS: LazyLock<HashMap<char, Vec<char>>> = LazyLock::new(|| {
    let mut writings: HashMap<char, Vec<char>> = HashMap::new();
    for c in '\0'..=LAST {
        // Of what becomes several, the first: the `i` of `İ`.
        if let Some(small) = c.to_lowercase().next().filter(|small| *small != c) {
            writings.entry(small).or_default().push(c);
        }
    }
    // At the end of a word it becomes another.
    writings.entry('ς').or_default().push('Σ');
    writings
});

/// What matches every text that has this word, which is in small letters, in any writing. `json`: the text stands in JSON.
pub(super) fn pattern(word: &str, json: bool) -> String {
    let mut pattern = "*".to_owned();
    for c in word.chars().take(CHARS_MAX) {
        match (c, WRITINGS.get(&c)) {
            (_, Some(others)) => {
                pattern.push('[');
                pattern.push(c);
                pattern.extend(others);
                pattern.push(']');
            }
            ('*' | '?' | '[', None) => pattern.extend(['[', c, ']']),
            ('"' | '\\', None) if json => pattern.extend(['\\', c]),
            // Written in more than one way, or by the end of what SQLite takes for a text.
            _ if c.is_control() => pattern.push('*'),
            _ => pattern.push(c),
        }
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writing_is_matched_and_what_means_something_to_sqlite_means_itself() {
        assert_eq!(pattern("a1-你", false), "*[aA]1-你*");
        // A sign for kelvin is a `k` too.
        assert_eq!(pattern("k", false), "*[kK\u{212a}]*");
        assert_eq!(pattern("приς", false), "*[пП][рР][иИ][ςΣ]*");
        assert_eq!(pattern("*[?]\"\\", false), "*[*][[][?]]\"\\*");
        assert_eq!(pattern("\"\\", true), "*\\\"\\\\*");
        assert_eq!(pattern("\u{1}", true), "***");
        assert_eq!(pattern(&"9".repeat(1000), false).len(), CHARS_MAX + 2);
    }
}
