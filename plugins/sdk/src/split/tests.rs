//! Nothing lost, limits kept, fences balanced.

use proptest::prelude::*;

use super::*;

fn texts(text: &str, limit: usize) -> Vec<String> {
    split(text, limit, limit).into_iter().map(|p| p.text).collect()
}

#[test]
fn short_text_is_one_piece() {
    assert_eq!(texts("hello\n", 200), ["hello\n"]);
    assert_eq!(texts("", 200), Vec::<String>::new());
}

#[test]
fn what_is_clipped_says_so() {
    assert_eq!(
        (clip("abcd", 4), clip("abcdef", 4)),
        ("abcd".to_owned(), "abc…".to_owned())
    );
    assert_eq!(clip("a😀😀", 4), "a😀…");
}

#[test]
fn a_paragraph_is_the_best_place_to_cut() {
    let (a, b) = ("a".repeat(110), "b".repeat(110));
    assert_eq!(
        texts(&format!("{a}\n\n{b}\n"), 200),
        [format!("{a}\n\n"), format!("{b}\n")]
    );
}

#[test]
fn a_fence_is_closed_and_opened_again() {
    let line = "x".repeat(59);
    let code = format!("```rust\n{line}\n{line}\n{line}\n{line}\n```\n");
    assert_eq!(
        texts(&code, 200),
        [
            format!("```rust\n{line}\n{line}\n{line}\n```"),
            format!("```rust\n{line}\n```\n"),
        ]
    );
}

#[test]
fn a_fence_still_open_is_closed_for_now() {
    assert_eq!(texts("```\ncode", 200), ["```\ncode\n```"]);
}

#[test]
fn a_long_line_is_cut_at_a_space() {
    let (a, b) = ("a".repeat(290), "b".repeat(290));
    assert_eq!(texts(&format!("{a} {b}"), 400), [format!("{a} "), b]);
}

/// Markdown with everything that makes splitting hard.
fn markdown() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "[ a-zé😀.,*`~]{0,80}",
        1 => "[a-z]{300,900}",
        2 => Just(String::new()),
        2 => prop_oneof![Just("```"), Just("```rust"), Just("~~~"), Just("````"), Just("  ```py title=x")].prop_map(str::to_owned),
    ];
    proptest::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

/// What agents write: no word is longer than what a piece keeps free for its end.
fn prose() -> impl Strategy<Value = String> {
    let word = prop_oneof![8 => "[a-z,*#|]{1,14}", 1 => "[你好，。]{1,30}", 1 => "😀{1,5}"];
    let space = prop_oneof![
        20 => Just(" "), 3 => Just("\n"), 2 => Just("\n\n"), 1 => Just("\n```rust\n"), 1 => Just("\n```\n")
    ];
    proptest::collection::vec((word, space), 0..400).prop_map(|all| {
        all.into_iter()
            .flat_map(|(word, space)| [word, space.to_owned()])
            .collect()
    })
}

proptest! {
    #[test]
    fn nothing_is_lost_and_limits_are_kept(text in markdown(), first in 200usize..1500, limit in 200usize..1500) {
        let pieces = split(&text, first, limit);
        let joined: String = pieces.iter().map(Piece::own).collect();
        prop_assert_eq!(joined, text);
        for (at, piece) in pieces.iter().enumerate() {
            let limit = if at == 0 { first } else { limit };
            prop_assert!(length(&piece.text) <= limit, "{} > {limit}", length(&piece.text));
            prop_assert!(!piece.own().is_empty());
        }
    }

    #[test]
    fn every_piece_closes_its_fences(lines in proptest::collection::vec("(```[a-z]{0,5}|~~~|[a-z ]{0,60})", 0..60), limit in 200usize..900) {
        for piece in split(&lines.join("\n"), limit, limit) {
            let open = piece.text.split_inclusive('\n').fold(None, after);
            prop_assert_eq!(open, None, "in {:?}", piece.text);
        }
    }

    #[test]
    fn a_full_piece_stays_when_the_text_grows(text in markdown(), limit in 200usize..900, cut in 0.0f64..1.0) {
        let mut at = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(at) { at -= 1; }
        // A line that is not finished may still become a fence: whole lines are compared.
        let at = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let (early, late) = (split(&text[..at], limit, limit), split(&text, limit, limit));
        for (a, b) in early.iter().zip(&late).take(early.len().saturating_sub(1)) {
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn what_flows_is_neither_lost_nor_too_long(text in markdown(), first in 200usize..1500, limit in 200usize..1500) {
        let pieces = flow(&text, first, limit);
        let joined: String = pieces.iter().map(Piece::own).collect();
        prop_assert_eq!(joined, text);
        for (at, piece) in pieces.iter().enumerate() {
            let limit = if at == 0 { first } else { limit };
            prop_assert!(length(&piece.text) <= limit, "{} > {limit}", length(&piece.text));
            prop_assert!(!piece.own().is_empty());
        }
    }

    #[test]
    fn what_flowed_into_a_piece_stays_there(text in prose(), first in 640usize..1000, limit in 640usize..1000, cut in 0.0f64..1.0) {
        let mut at = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(at) { at -= 1; }
        let (early, late) = (flow(&text[..at], first, limit), flow(&text, first, limit));
        for (at, (a, b)) in early.iter().zip(&late).enumerate() {
            if at + 1 < early.len() {
                prop_assert_eq!(a, b);
            } else {
                prop_assert!(b.own().starts_with(a.own()), "{:?} became {:?}", a.own(), b.own());
            }
        }
    }
}
