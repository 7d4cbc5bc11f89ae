//! Nobody is pinged, nothing is lost.

use proptest::prelude::*;

use super::*;

#[test]
fn pings_and_tags_are_broken_apart_also_in_code() {
    assert_eq!(quiet("hi <at id=all></at>"), "hi <\u{2060}at id=all><\u{2060}/at>");
    assert_eq!(quiet("@_all and @_user_1"), "@\u{2060}_all and @\u{2060}_user_1");
    assert_eq!(
        quiet("```\n<AT user_id=\"ou_1\">\n```"),
        "```\n<\u{2060}AT user_id=\"ou_1\">\n```"
    );
    assert_eq!(quiet("<person id = 'x'>"), "<\u{2060}person id = 'x'>");
    let harmless = "a <b> and 3 < 4, me@example.com, `Vec<attr>` and <atom>";
    assert_eq!(quiet(harmless), harmless);
}

#[test]
fn pictures_become_links_outside_of_code() {
    assert_eq!(quiet("see ![a cat](https://x/y.png)!"), "see [a cat](https://x/y.png)!");
    assert_eq!(quiet("![](https://x/y.png)"), "[image](https://x/y.png)");
    assert_eq!(quiet("`![a](b)` ![a](b)"), "`![a](b)` [a](b)");
    assert_eq!(quiet("an open ` and ![a](b)"), "an open ` and [a](b)");
    assert_eq!(quiet("``a ` ![a](b)`` ![a](b)"), "``a ` ![a](b)`` [a](b)");
    assert_eq!(quiet("```\n![a](b)\n```\n![a](b)"), "```\n![a](b)\n```\n[a](b)");
}

#[test]
fn links_that_lie_are_shown_with_where_they_lead() {
    assert_eq!(
        quiet("[https://bank.com](https://evil.io) [docs](https://x.y) `[bank.com](https://evil.io)`"),
        "https://bank.com (https://evil.io) [docs](https://x.y) `[bank.com](https://evil.io)`"
    );
    assert_eq!(quiet("![bank.com](https://evil.io)"), "bank.com (https://evil.io)");
    assert_eq!(
        quiet("<a href='https://evil.io'>bank.com</a> <LINK url='u'>x</link> `<a href='u'>` <abbr>"),
        "<\u{2060}a href='https://evil.io'>bank.com</a> <\u{2060}LINK url='u'>x</link> `<a href='u'>` <abbr>"
    );
    assert_eq!(quiet("```\n<a href='u'>\n```"), "```\n<a href='u'>\n```");
}

#[test]
fn tables_beyond_the_limit_are_code() {
    let table = "| a | b |\n| --- | :-: |\n| 1 | 2 |\n";
    let mut left = 1;
    let text = format!("{table}\nthen\n\n{table}end");
    assert_eq!(
        fold_tables(&text, &mut left),
        format!("{table}\nthen\n\n```\n{table}```\nend")
    );
    let mut left = 0;
    let code = format!("```\n{table}```\n");
    assert_eq!(fold_tables(&code, &mut left), code, "it is code already");
}

#[test]
fn the_hosts_words_keep_their_mentions_and_no_others() {
    assert_eq!(escape_naming("by <@ou_ann>"), "by <at id=ou_ann></at>");
    assert_eq!(escape_naming("<@all> <@ou x>"), "&#60;@all&#62; &#60;@ou x&#62;");
    assert_eq!(escape_naming("add `ou_ben` to *it*"), "add `ou_ben` to &#42;it&#42;");
    assert_eq!(
        escape_naming("an open ` and <@ou_a>"),
        "an open &#96; and <at id=ou_a></at>"
    );
    assert_eq!(escape_naming("`<at id=all>`"), "`<\u{2060}at id=all>`");
    assert_eq!(escape("a*b_[c]"), "a&#42;b&#95;&#91;c&#93;");
    assert_eq!(code("a`b\nc", 20), "`a'b c`");
    assert_eq!(
        summary("# **Hello** `x`\n\nthere <at id=all>"),
        "Hello x there <\u{2060}at id=all>"
    );
    let long = format!("{}<attention", "x".repeat(76));
    assert_eq!(summary(&long), format!("{}<\u{2060}at…", "x".repeat(76)));
}

proptest! {
    #[test]
    fn hostile_texts_ping_nobody_and_lose_nothing(text in hostile()) {
        let quiet = quiet(&text);
        prop_assert!(!pings(&quiet), "{quiet}");
        let bare = |text: &str| text.replace([JOINER, '!', '[', ']'], "").replace("image", "");
        prop_assert_eq!(bare(&quiet), bare(&text));
        let escaped = escape(&text);
        prop_assert!(!escaped.contains('<'));
        prop_assert!(!pings(&escape_naming(&text)));
        prop_assert!(!pings(&code(&text, 50)) && !pings(&block(&text, 50)));
    }

    #[test]
    fn folding_tables_loses_nothing(text in "([a|:\\-` \n]|\\| --- \\|\n){0,60}", left in 0usize..3) {
        let mut left = left;
        let folded = fold_tables(&text, &mut left);
        let bare = |text: &str| text.chars().filter(|c| !matches!(c, '`' | '\n')).collect::<String>();
        prop_assert_eq!(bare(&folded), bare(&text));
    }
}

/// As Feishu finds them, whatever the case.
pub(crate) fn pings(text: &str) -> bool {
    let text = text.to_lowercase();
    ["<at", "</at", "<person", "<mention"].iter().any(|tag| {
        text.match_indices(tag).any(|(at, tag)| {
            let next = text[at + tag.len()..].chars().next();
            next.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
        })
    }) || text.contains("@_all")
        || text.contains("@_user_")
}

/// Pings among all that people write.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<at id=all></at>".to_owned()),
        Just("<AT user_id=\"ou_1\">x</AT>".to_owned()),
        Just("@_all".to_owned()),
        Just("@_user_1".to_owned()),
        Just("<person id='ou_1'></person>".to_owned()),
        Just("![x](https://x/y.png)".to_owned()),
        Just("```\n".to_owned()),
        Just("~~~rust\n".to_owned()),
        Just("`".to_owned()),
        Just("<".to_owned()),
        Just("<<at".to_owned()),
        Just("<a href='https://evil.io'>bank.com</a>".to_owned()),
        Just("| a | b |\n| --- | --- |\n| 1 | 2 |\n".to_owned()),
        Just("你好，世界。".to_owned()),
        Just("مرحبا \u{202e}abc".to_owned()),
        Just("👩‍👩‍👧 😀".to_owned()),
        Just("\n\n".to_owned()),
        "[a-z ]{1,20}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}
