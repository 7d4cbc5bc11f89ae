use super::*;

fn heard(raw: &str) -> String {
    hear(raw, Some("9"), Some("7")).text
}

#[test]
fn discords_sequences_are_read() {
    assert_eq!(
        heard("hi <@12> and <@!13>, <@&5>, <#6>"),
        "hi <@12> and <@13>, <@&5>, <#6>"
    );
    assert_eq!(heard("<:wave:123> <a:dance:9> </stop:55>"), ":wave: :dance: /stop");
    assert_eq!(heard("1 < 2 <b> <@x> <@>"), "1 < 2 <b> <@x> <@>");
    assert_eq!(heard("Vec<Option<u8>> <@12"), "Vec<Option<u8>> <@12");
}

#[test]
fn the_bot_and_its_role_are_cut_out() {
    let all = hear("<@9> do it <@!9>", Some("9"), None);
    assert_eq!((all.text.as_str(), all.addressed), ("do it", true));
    assert_eq!(heard("hello <@9> there"), "hello there");
    assert!(hear("<@&7> go", Some("9"), Some("7")).addressed);
    assert!(!hear("<@&8> go <@19>", Some("9"), Some("7")).addressed);
}

#[test]
fn tables_become_code_and_code_stays() {
    let spoken = speak("before\n| a | bb |\n|---|:-:|\n| 1 | x \\| y |\n| 日本 |\nafter\n");
    assert_eq!(
        spoken,
        "before\n```\na    │ bb\n─────┼──────\n1    │ x | y\n日本 │\n```\nafter\n"
    );
    let code = "```\n| a | b |\n|---|---|\n#### x ![i](http://a.b/c)\n```\n";
    assert_eq!(speak(code), code);
    assert_eq!(speak("| a |\nno table\n"), "| a |\nno table\n");
    assert_eq!(
        speak("| `` ``` `` | b |\n|---|---|\n"),
        "````\n`` ``` `` │ b\n──────────┼──\n````\n"
    );
}

#[test]
fn headings_pictures_and_links_that_lie() {
    assert_eq!(speak("##### deep\n# top\n####no"), "### deep\n# top\n####no");
    assert_eq!(speak("![a cat](https://x.y/c.png)!"), "[a cat](https://x.y/c.png)!");
    assert_eq!(speak("[docs](https://x.y/z)"), "[docs](https://x.y/z)");
    assert_eq!(speak("[https://x.y](https://x.y/)"), "https://x.y/");
    assert_eq!(
        speak("[https://bank.com](https://evil.io/a) [bank.com/login](https://evil.io)"),
        "https://bank.com (<https://evil.io/a>) bank.com/login (<https://evil.io>)"
    );
    assert_eq!(
        speak("[x.y/page](https://x.y/page?1)"),
        "[x.y/page](https://x.y/page?1)"
    );
    assert_eq!(
        speak("`[https://a.b](https://c.d)` [](https://c.d)"),
        "`[https://a.b](https://c.d)` https://c.d"
    );
    assert_eq!(speak("array[0](not a link) ![no"), "array[0](not a link) ![no");
}

#[test]
fn plain_words_format_nothing() {
    assert_eq!(
        plain("a *b*\n_c_ `d` [e](f) ~g~ |h| <@1>"),
        "a \\*b\\* \\_c\\_ \\`d\\` \\[e](f) \\~g\\~ \\|h\\| \\<@1>"
    );
    assert_eq!(plain("# not a heading"), "\\# not a heading");
    assert_eq!(plain("read-file #1"), "read-file #1");
    assert_eq!(naming("Allowed by <@12> & *me*"), "Allowed by <@12> & \\*me\\*");
    assert_eq!(naming("<@ <@x> <@5"), "\\<@ \\<@x> \\<@5");
}
