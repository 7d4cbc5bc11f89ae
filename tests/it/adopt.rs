//! Conversations that people began in a terminal, with the agent's own program, and go on with in a chat.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use botyard::chat::SessionId;
use botyard::control::Client;
use serde_json::{Value, json};

use crate::binary::{RealHost, botyard, eventually};
use crate::operator::{asked, listed, text};
use crate::web::{Page, write};

const THEIRS: &str = "0b6c5d8e-1111-4222-8333-444455556666";

/// A transcript as the agent keeps it, with what it may hold besides; its last line is torn.
fn transcript(said: &[(&str, &str)]) -> String {
    let record = |kind: &str, content: Value| {
        json!({"type": kind, "sessionId": THEIRS, "cwd": "/home/ann/project", "isSidechain": false,
            "message": {"role": kind, "content": content}})
    };
    let mut all = "{\"type\":\"summary\",\"summary\":\"x\"}\nno JSON\n".to_owned();
    for (prompt, answer) in said {
        let answer = json!([{"type": "text", "text": answer}]);
        writeln!(
            all,
            "{}\n{}",
            record("user", json!(prompt)),
            record("assistant", answer)
        )
        .expect("a text");
    }
    all + "{\"type\":\"user\",\"sessi"
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn recalled(page: &Page, id: &str, prompt: &str, whole: &str) {
    asked(page, id, prompt).await;
    eventually(whole, async || {
        let views = page.views("c1").await;
        views.into_iter().find(|view| view.to_string().contains(whole))
    })
    .await;
}

async fn shown(folder: &Path, id: &str) -> String {
    text(&botyard(folder, &["sessions", "show", id]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_that_was_begun_in_a_terminal_goes_on_in_a_chat_and_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "");
    let run = async |words: &[&str]| botyard(folder, words).await;
    let host = RealHost::start(folder).await;
    let page = Page::open(&host, folder).await;
    asked(&page, "m1", "in the chat").await;
    let id = listed(folder).await[0]["id"].as_str().expect("an id").to_owned();

    let kept = folder.join(".claude/projects/-home-ann-project");
    std::fs::create_dir_all(&kept).expect("a folder");
    let file = kept.join(format!("{THEIRS}.jsonl"));
    let before = transcript(&[("my own words", "an answer"), ("and more", "the last one")]);
    std::fs::write(&file, &before).expect("written");

    // By its file, beside the chat's own; by its id, as what the chat goes on with.
    let path = file.display().to_string();
    let beside = run(&["sessions", "adopt", &path, &id, "--name", "mine"]).await;
    let said = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert!(said.contains("it was spoken to in `/home/ann/project`"), "{said}");
    let beside = text(&beside).trim().to_owned();
    let log = shown(folder, &beside).await;
    assert!(log.starts_with("# mine\n"), "{log}");
    let places = ["my own words", "an answer", "and more", "the last one"].map(|words| log.find(words));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{log}");
    recalled(&page, "m2", "recall chat", "in the chat | recall chat").await;
    let current = text(&run(&["sessions", "adopt", THEIRS, &id, "--current"]).await)
        .trim()
        .to_owned();
    let whole = "my own words | and more | recall theirs";
    recalled(&page, "m3", "recall theirs", whole).await;
    assert!(shown(folder, &current).await.contains(whole));
    assert!(!shown(folder, &beside).await.contains("recall"));
    assert_eq!(std::fs::read_to_string(&file).expect("there"), before);

    // What is none is said so, and leaves nothing.
    let sessions = async || listed(folder).await.as_array().map(Vec::len);
    assert_eq!(sessions().await, Some(3));
    let silent = folder.join("silent.jsonl");
    std::fs::write(&silent, "{\"type\":\"summary\"}\n").expect("written");
    let of = |words: String| (words.contains("nobody said anything in it"), words);
    let (told, words) = of(complaint(
        &run(&["sessions", "adopt", &silent.display().to_string(), &id]).await,
    ));
    assert!(told, "{words}");
    let long = folder.join("long.jsonl");
    let made = std::fs::File::create(&long).expect("a file");
    made.set_len((256 << 20) + 1).expect("a hole");
    let words = complaint(&run(&["sessions", "adopt", &long.display().to_string(), &id]).await);
    assert!(words.contains("it is longer than 256 MiB"), "{words}");
    for none in ["../../no/such", "0b6c5d8e", "", "a\nb"] {
        let words = complaint(&run(&["sessions", "adopt", none, &id]).await);
        assert!(
            words.contains("no conversation of yours has this id"),
            "{none}: {words}"
        );
    }
    let words = complaint(&run(&["sessions", "adopt", &path, "nobodys"]).await);
    assert!(words.contains("there is no session `nobodys`"), "{words}");
    let words = complaint(&run(&["sessions", "adopt", &path, &id, "--name", "a\nb"]).await);
    assert!(words.contains("--name"), "{words}");
    assert_eq!(sessions().await, Some(3));
    host.terminate().await;

    // Without a host it is the same, and is there when one begins.
    let offline = text(&run(&["sessions", "adopt", THEIRS, &id, "--current"]).await)
        .trim()
        .to_owned();
    assert!(shown(folder, &offline).await.contains("my own words"));
    // Of a long one the log has the newest, and that is said.
    let exchanges: Vec<(String, String)> = (1..=1001)
        .map(|n| (format!("word {n}."), format!("answer {n}.")))
        .collect();
    let exchanges: Vec<(&str, &str)> = exchanges.iter().map(|(asked, said)| (&**asked, &**said)).collect();
    let many = folder.join("many.jsonl");
    std::fs::write(&many, transcript(&exchanges)).expect("written");
    let many = run(&["sessions", "adopt", &many.display().to_string(), &id]).await;
    let said = String::from_utf8_lossy(&many.stderr).into_owned();
    assert!(
        said.contains("its log begins with the newest 1000 of 1001 turns; the agent has all of them\n"),
        "{said}"
    );
    let many = text(&many).trim().to_owned();
    let log = shown(folder, &many).await;
    assert!(
        !log.contains("word 1.") && log.contains("word 2.") && log.contains("word 1001."),
        "{log}"
    );
    let host = RealHost::start(folder).await;
    let page = Page::open(&host, folder).await;
    recalled(&page, "m4", "recall anew", "my own words | and more | recall anew").await;
    host.terminate().await;

    // A bot that is no more has no place for it.
    let bots = folder.join("bots.toml");
    let text = std::fs::read_to_string(&bots).expect("there");
    std::fs::write(&bots, text.replace("\"local\"", "\"another\"")).expect("written");
    let words = complaint(&run(&["sessions", "adopt", THEIRS, &id]).await);
    assert!(
        words.contains("bots.toml has no bot `local` with an agent `scripted`"),
        "{words}"
    );
    std::fs::write(&bots, text).expect("written");

    // Forgotten, nothing of the copy stays; the original is its owner's.
    let mut copies = Vec::new();
    for one in [&beside, &current, &offline, &many] {
        let deleted = run(&["sessions", "delete", one, "--yes"]).await;
        assert!(deleted.status.success(), "{deleted:?}");
    }
    crate::sessions::transcripts(&folder.join("data"), &mut copies);
    assert_eq!(copies.len(), 1, "the chat's own: {copies:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_comes_to_its_end_though_whoever_asked_for_it_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "");
    let host = RealHost::start(folder).await;
    let page = Page::open(&host, folder).await;
    asked(&page, "m1", "in the chat").await;
    let id = listed(folder).await[0]["id"].as_str().expect("an id").to_owned();
    // It takes a while to be copied.
    let file = folder.join(format!("{THEIRS}.jsonl"));
    let much = "words ".repeat(1000);
    std::fs::write(&file, transcript(&vec![("mine", much.as_str()); 3000])).expect("written");
    let client = Client::new(&folder.join("data"));
    let id = SessionId(id);
    let begun = async || {
        let mut found = Vec::new();
        crate::sessions::transcripts(&folder.join("data"), &mut found);
        (found.len() == 2).then_some(())
    };
    tokio::select! {
        // Where nobody looked meanwhile, it is there already.
        adopted = client.adopt(&id, file, None, false) => { adopted.expect("it is adopted"); }
        () = eventually("the copy is begun", begun) => {}
    }
    eventually("it is a session", async || {
        let list = listed(folder).await;
        (list.as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    host.terminate().await;
}
