//! A word as a condition of SQLite's, so that it is found in any writing, in any alphabet, without reading what does not
//! have it. `GLOB` knows sets of characters, and takes many times as long as `LIKE`, which knows the two writings of an ASCII
//! letter: `LIKE` looks first, and where it knows all writings, alone.

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

/// True where `column` has this word, which is in small letters, in any writing: SQL, and the patterns for its `?`s. `json`: it
/// holds JSON.
pub(super) fn condition(column: &str, word: &str, json: bool) -> (String, Vec<String>) {
    let rough = rough(word, json);
    let first = format!("{column} LIKE ? ESCAPE '!'");
    if rough.exact {
        return (first, vec![rough.pattern]);
    }
    let mut patterns = begun(word, json);
    let any = vec![format!("{column} GLOB ?"); patterns.len()].join(" OR ");
    if !rough.telling {
        return (format!("({any})"), patterns);
    }
    patterns.insert(0, rough.pattern);
    (format!("({first} AND ({any}))"), patterns)
}

/// A pattern of `LIKE`'s, escaped by `!`, that matches at least what the word matches.
struct Rough {
    pattern: String,
    /// It matches nothing else.
    exact: bool,
    /// It has a character that a text must have.
    telling: bool,
}

fn rough(word: &str, json: bool) -> Rough {
    let mut rough = Rough {
        pattern: "%".to_owned(),
        exact: true,
        telling: false,
    };
    for c in word.chars().take(CHARS_MAX) {
        let capital = [c.to_ascii_uppercase()];
        match WRITINGS.get(&c) {
            // `LIKE` knows this writing, and takes no other for the letter's: not so for `i` and `k`.
            Some(others) if others[..] != capital => {
                rough.pattern.push('_');
                rough.exact = false;
                continue;
            }
            _ if c.is_control() => {
                rough.pattern.push('%');
                continue;
            }
            _ if matches!(c, '%' | '_' | '!') => rough.pattern.extend(['!', c]),
            _ if json && matches!(c, '"' | '\\') => rough.pattern.extend(['\\', c]),
            _ => rough.pattern.push(c),
        }
        rough.telling = true;
    }
    rough.pattern.push('%');
    rough
}

/// Patterns of which one matches where [`pattern`] does: each begins with one writing of the first letter, because a search
/// for a set is slow.
fn begun(word: &str, json: bool) -> Vec<String> {
    let mut chars = word.chars();
    let Some((first, others)) = chars.next().and_then(|c| Some((c, WRITINGS.get(&c)?))) else {
        return vec![pattern(word, json)];
    };
    let rest: String = chars.take(CHARS_MAX - 1).collect();
    let rest = pattern(&rest, json);
    let writings = std::iter::once(&first).chain(others);
    writings.map(|c| format!("*{c}{}", &rest[1..])).collect()
}

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

    #[test]
    fn like_is_asked_first_and_alone_where_it_knows_every_writing() {
        let of = |word: &str, json| condition("c", word, json);
        let like = |pattern: &str| ("c LIKE ? ESCAPE '!'".to_owned(), vec![pattern.to_owned()]);
        assert_eq!(of("zebra1", false), like("%zebra1%"));
        assert_eq!(of("你好", true), like("%你好%"));
        assert_eq!(of("5%_!\"\\", true), like("%5!%!_!!\\\"\\\\%"));
        assert_eq!(of("\"\\", false), like("%\"\\%"));
        assert_eq!(of("\u{1}", false), like("%%%"));
        assert_eq!(of(&"9".repeat(1000), false).1[0].len(), CHARS_MAX + 2);
        // Letters with a writing that is no ASCII: what `LIKE` lets through is looked at again.
        let (sql, patterns) = of("fix", false);
        assert_eq!(sql, "(c LIKE ? ESCAPE '!' AND (c GLOB ? OR c GLOB ?))");
        assert_eq!(patterns, ["%f_x%", "*f[iI\u{130}][xX]*", "*F[iI\u{130}][xX]*"]);
        // It cannot tell anything.
        let (sql, patterns) = of("да", false);
        assert_eq!(sql, "(c GLOB ? OR c GLOB ?)");
        assert_eq!(patterns, ["*д[аА]*", "*Д[аА]*"]);
        assert_eq!(
            of(&"я".repeat(1000), false).1[0].chars().filter(|c| *c == '[').count(),
            CHARS_MAX - 1
        );
    }

    #[test]
    fn what_a_condition_finds_is_what_the_whole_pattern_finds() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        let found = |condition: &str, patterns: &[String], text: &str| -> bool {
            let sql = format!("SELECT {condition} FROM (SELECT ? AS c)");
            let values = patterns.iter().map(String::as_str).chain([text]);
            conn.query_row(&sql, rusqlite::params_from_iter(values), |row| row.get(0))
                .unwrap()
        };
        let words = [
            "fix",
            "like",
            "k",
            "i",
            "s",
            "zebra",
            "größe",
            "straße",
            "привет",
            "οδος",
            "你",
            "a_c",
            "100%",
            "!",
            "*",
            "[",
            "\"",
            "\\",
            "e\u{1}x",
            "ık",
            "ſ",
        ];
        let texts = [
            "Fix it",
            "FİX",
            "fax",
            "LIKE",
            "li\u{212a}e",
            "lime",
            "\u{212a}",
            "İ",
            "S",
            "ſ",
            "ZEBRA",
            "Größe",
            "GRÖẞE",
            "grasse",
            "STRAẞE",
            "Привет",
            "ПРИВЕТ",
            "пока",
            "ΟΔΟΣ",
            "οδοσ",
            "你好",
            "A_C",
            "abc",
            "100%",
            "100x",
            "!",
            "*[",
            "\"\\",
            "e x",
            "IK",
            "",
        ];
        for word in words {
            for text in texts {
                for json in [false, true] {
                    let whole = found("c GLOB ?", &[pattern(word, json)], text);
                    let (sql, patterns) = condition("c", word, json);
                    assert_eq!(found(&sql, &patterns, text), whole, "{word} in {text}, {json}");
                }
            }
        }
    }
}
