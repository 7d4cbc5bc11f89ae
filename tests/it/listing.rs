//! What people have of many conversations: lists in pages, on a platform that does as a test says.

use serde_json::Value;

use crate::room::Room;

/// Says something and waits for a view that was not there before and is as it should be.
async fn answered(room: &Room, id: &str, text: &str, like: impl Fn(&Value) -> bool) -> Value {
    let before = room.vendor.standing();
    room.say(id, text).await;
    room.vendor
        .until(&format!("the answer to `{text}`"), |view| {
            like(view) && before.iter().all(|other| other["turn"] != view["turn"])
        })
        .await
}

/// The same of an answer that is done and has this in it.
async fn told(room: &Room, id: &str, text: &str, told: &str) -> Value {
    let like = |view: &Value| view["state"] == "done" && view.to_string().contains(told);
    answered(room, id, text, like).await
}

/// A button of a list, and the list that comes of it.
async fn pressed(room: &Room, view: &Value, label: &str, title: &str) -> Value {
    let before = room.vendor.standing();
    room.press(view, label, None).await;
    room.vendor
        .until(title, |view| {
            view.to_string().contains(title) && before.iter().all(|other| other["turn"] != view["turn"])
        })
        .await
}

/// Seven conversations, one a thing, `thing 7` the current one; the words about one of them are a date.
async fn seven(room: &Room) {
    for number in 1..=7 {
        let words = match number {
            4 => "thing 4 of 2026/11".to_owned(),
            number => format!("thing {number}"),
        };
        told(room, &format!("m{number}"), &words, &format!("echo: Ann: {words}")).await;
        if number < 7 {
            told(room, &format!("n{number}"), "/new", "new conversation begins").await;
        }
    }
}

/// Which things a text tells of.
fn things(text: &Value) -> Vec<u32> {
    let text = text.as_str().unwrap_or_default();
    let first = |line: &str| {
        line.split("ago. Ann: thing ")
            .nth(1)
            .and_then(|rest| rest[..1].parse().ok())
    };
    text.lines().filter_map(first).collect()
}

fn labels(view: &Value) -> Vec<String> {
    let choices = view["asks"][0]["choices"].as_array().cloned().unwrap_or_default();
    choices
        .iter()
        .map(|choice| choice["label"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn list_goes_on_by_a_press_and_a_number_that_is_no_page_is_looked_for() {
    let room = Room::open("").await;
    seven(&room).await;
    let list = told(&room, "l1", "/list", "Sessions (7)").await;
    assert_eq!(things(&list["asks"][0]["text"]), [7, 6, 5, 4, 3]);
    assert_eq!((labels(&list).len(), labels(&list)[4].as_str()), (5, "More"));
    let rest = pressed(&room, &list, "More", "Sessions (7)").await;
    assert_eq!(things(&rest["asks"][0]["text"]), [2, 1]);
    assert_eq!(labels(&rest).len(), 2, "there is no more: {rest}");
    // What is behind can be gone on with.
    let oldest = labels(&rest)[1].clone();
    pressed(&room, &rest, &oldest, &format!("This is {oldest} now.")).await;
    let recalled = told(&room, "r1", "recall", "Ann: recall").await;
    assert!(recalled["text"].to_string().contains("Ann: thing 1 | "), "{recalled}");

    // With words, as well.
    let list = told(&room, "l2", "/list thing", "Sessions (7)").await;
    assert_eq!(things(&list["asks"][0]["text"]), [1, 7, 6, 5, 4]);
    let rest = pressed(&room, &list, "More", "Sessions (7)").await;
    assert_eq!((things(&rest["asks"][0]["text"]), labels(&rest).len()), (vec![3, 2], 2));
    let same = told(&room, "l3", "/list 2/thing", "Sessions (7)").await;
    assert_eq!(things(&same["asks"][0]["text"]), [3, 2]);
    told(&room, "l4", "/list 3/thing", "There are no more.").await;
    told(&room, "l5", "/list 3", "There are no more.").await;
    told(&room, "l6", "/list nothing", "No conversation here has these words.").await;
    for (id, text) in [("l7", "/list 2026"), ("l8", "/list 2026/11")] {
        let found = told(&room, id, text, "Sessions (1)").await;
        assert_eq!(things(&found["asks"][0]["text"]), [4], "{text}");
    }
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn list_says_how_it_goes_on_where_nothing_can_be_pressed() {
    let room = Room::mute("").await;
    seven(&room).await;
    let list = told(&room, "l1", "/list", "Sessions (7)").await;
    assert_eq!(things(&list["text"]), [7, 6, 5, 4, 3]);
    let text = list["text"].as_str().unwrap_or_default();
    assert!(
        text.ends_with("\n`/switch ID` goes on with one.\n\n`/list 2` shows more."),
        "{text}"
    );
    let rest = told(&room, "l2", "/list 2", "Sessions (7)").await;
    assert_eq!(things(&rest["text"]), [2, 1]);
    assert!(!rest["text"].to_string().contains("shows more"), "{rest}");
    let found = told(&room, "l3", "/list thing", "Sessions (7)").await;
    assert!(
        found["text"].to_string().contains("`/list 2/thing` shows more."),
        "{found}"
    );
    room.stop().await;
}
