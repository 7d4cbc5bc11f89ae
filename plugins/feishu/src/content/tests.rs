//! Every kind of message, as the best text that there is.

use botyard_sdk::serde_json::json;
use proptest::prelude::*;

use super::*;

fn mentions() -> Value {
    json!([
        { "key": "@_user_1", "id": { "open_id": "ou_bot" }, "name": "botyard" },
        { "key": "@_user_2", "id": { "open_id": "ou_ann" }, "name": "Ann" },
        { "key": "@_user_10", "id": { "open_id": "ou_ten" }, "name": "Ten" },
    ])
}

fn of(kind: &str, content: &Value) -> Content {
    read("om_1", kind, &content.to_string(), &mentions(), Some("ou_bot"))
}

fn words(kind: &str, content: &Value) -> String {
    of(kind, content).text
}

fn sources(content: &Content) -> Vec<(&str, &str)> {
    let all = content.attachments.iter();
    all.map(|one| (one.name.as_str(), one.source.as_str())).collect()
}

#[test]
fn mentions_are_persons_and_the_bots_own_goes() {
    let read = |text: &str| words("text", &json!({ "text": text }));
    assert_eq!(read("@_user_1 hello"), "hello");
    assert_eq!(read("hello @_user_1 there"), "hello there");
    assert_eq!(read("@_user_10 and @_user_2"), "<@ou_ten> and <@ou_ann>");
    assert_eq!(read("@_all look, @_user_99 too"), "@all look, @_user_99 too");
    assert_eq!(read("an email: a@_b.example"), "an email: a@_b.example");
    let found = of("text", &json!({ "text": "x" }));
    assert!(found.addressed);
    let ids: Vec<&str> = found.mentions.iter().map(|person| person.id.as_str()).collect();
    assert_eq!(ids, ["ou_ten", "ou_ann"]);
}

#[test]
fn rich_text_becomes_markdown_and_its_pictures_files() {
    let post = json!({ "title": "A plan", "content": [
        [
            { "tag": "text", "text": "bold", "style": ["bold"] }, { "tag": "text", "text": " and " },
            { "tag": "a", "text": "a link", "href": "https://example.com" },
            { "tag": "at", "user_id": "@_user_2", "user_name": "Ann" },
        ],
        [{ "tag": "img", "image_key": "img_1" }, { "tag": "media", "file_key": "file_1" }],
        [{ "tag": "code_block", "language": "RUST", "text": "fn main() {}\n" }],
        [{ "tag": "emotion", "emoji_type": "SMILE" }, { "tag": "new", "text": "unknown" }],
    ] });
    let expected = "**A plan**\n\n**bold** and [a link](https://example.com)<@ou_ann>\n\n\
                    ```rust\nfn main() {}\n```\n:SMILE:unknown";
    let found = of("post", &post);
    assert_eq!(found.text, expected);
    assert_eq!(
        sources(&found),
        [("image.png", "image:om_1:img_1"), ("video.mp4", "file:om_1:file_1")]
    );
    // Histories have it below a locale.
    assert_eq!(words("post", &json!({ "zh_cn": post })), expected);
}

#[test]
fn files_of_all_kinds_are_attachments() {
    let one = |kind: &str, content: Value| {
        let found = of(kind, &content);
        assert_eq!(found.text, "");
        let (name, source) = sources(&found)[0];
        (name.to_owned(), source.to_owned())
    };
    let pair = |name: &str, source: &str| (name.to_owned(), source.to_owned());
    assert_eq!(
        one("image", json!({ "image_key": "i" })),
        pair("image.png", "image:om_1:i")
    );
    assert_eq!(
        one("file", json!({ "file_key": "f", "file_name": "a.pdf" })),
        pair("a.pdf", "file:om_1:f")
    );
    assert_eq!(
        one("audio", json!({ "file_key": "f" })),
        pair("audio.opus", "file:om_1:f")
    );
    assert_eq!(
        one(
            "media",
            json!({ "file_key": "f", "file_name": "a.mp4", "image_key": "i" })
        ),
        pair("a.mp4", "file:om_1:f")
    );
    let forwarded = of("merge_forward", &json!({ "content": "Merged and Forwarded Message" }));
    assert_eq!(forwarded.text, "(forwarded messages)");
    assert_eq!(sources(&forwarded), [("forwarded.md", "forward:om_1:")]);
}

#[test]
fn everything_else_has_some_words() {
    let cases = [
        ("sticker", json!({ "file_key": "f" }), "(a sticker)"),
        ("share_chat", json!({ "chat_id": "oc_1" }), "(a shared group: oc_1)"),
        (
            "share_user",
            json!({ "user_id": "ou_ann" }),
            "(a shared contact: <@ou_ann>)",
        ),
        (
            "vote",
            json!({ "topic": "Lunch", "options": ["a", "b"] }),
            "(a vote: Lunch – a / b)",
        ),
        (
            "location",
            json!({ "name": "Here", "latitude": "1", "longitude": "2" }),
            "(a place: Here 1, 2)",
        ),
        ("hologram", json!({}), "(a message of the kind `hologram`)"),
        (
            "interactive",
            json!({ "title": "T", "elements": [[{ "tag": "text", "text": "words" }, { "tag": "img", "image_key": "i" }]] }),
            "T\nwords",
        ),
        (
            "interactive",
            json!({
                "schema": "2.0", "config": { "summary": { "content": "in lists" } },
                "header": { "title": { "tag": "plain_text", "content": "Disk full" } },
                "body": { "elements": [{ "tag": "markdown", "content": "on **db1**" }] },
            }),
            "Disk full\non **db1**",
        ),
    ];
    for (kind, content, expected) in cases {
        assert_eq!(words(kind, &content), expected, "{kind}");
    }
    assert_eq!(read("om_1", "text", "no json", &Value::Null, None).text, "");
}

proptest! {
    #[test]
    fn nothing_a_person_writes_is_lost_or_breaks_it(text in "(?s).{0,80}") {
        prop_assume!(!text.contains("@_"));
        let found = read("om_1", "text", &json!({ "text": text }).to_string(), &mentions(), Some("ou_bot"));
        prop_assert_eq!(found.text, text.trim());
    }

    #[test]
    fn hostile_contents_are_read_somehow(kind in "[a-z_]{1,12}", content in "(?s).{0,60}", mentions in "(?s).{0,40}") {
        let mentions = serde_json::from_str(&mentions).unwrap_or(Value::Null);
        read("om_1", &kind, &content, &mentions, None);
    }
}
