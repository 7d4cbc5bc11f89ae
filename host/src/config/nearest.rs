//! The nearest known word to a mistyped one.

/// The known word that was probably meant: at most a third of its letters differ (two at least may). None: nothing
/// is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(word);
    known
        .into_iter()
        .map(|candidate| (distance(&plain, &self::plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).clamp(1, 4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the kind of dash are never what was meant to differ.
fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// Letters to insert, remove, change or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_finds_the_one_that_was_meant() {
        let known = ["scope", "secrets", "settings", "listen", "listen_to_all", "api_base"];
        let find = |word| nearest(word, known);
        assert_eq!(
            [
                find("scpoe"),
                find("secret"),
                find("setings"),
                find("Api-Base"),
                find("listen_to"),
                find("colour")
            ],
            [
                Some("scope"),
                Some("secrets"),
                Some("settings"),
                Some("api_base"),
                Some("listen_to_all"),
                None
            ]
        );
    }

    #[test]
    fn distance_counts_single_edits_and_swaps() {
        assert_eq!(
            [
                distance("", "abc"),
                distance("abc", "acb"),
                distance("kitten", "sitting")
            ],
            [3, 1, 3]
        );
    }
}
