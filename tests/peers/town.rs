//! One real binary that serves a bot at every platform at the same time, each over the connection that the README
//! recommends, with the real CLI behind it: what a person does at one of them must come to the same at each. The platforms
//! are fakes, the model is one too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use botyard_fakes::model::{Model, Reply, Request, by_words};
use botyard_fakes::platform::{
    Act, Acted, Actor, DiscordPlatform, FeishuPlatform, Place, Platform, Seen, SlackPlatform,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::everywhere::{folder, open};
use crate::host::processes_in;
use crate::journey::{made, programs};

/// The real CLI takes seconds to start, and three of them share the machine here.
const PATIENCE: Duration = Duration::from_secs(180);
/// One red pixel.
const PNG: &str = "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003\
                   010100c9fe92ef0000000049454e44ae426082";
/// More than any platform takes in one message, with a fence over the places where it must be cut.
const LINES: usize = 1500;

/// Each platform shows it in its own way.
const TABLE: &str = "Here it is:\n\n| town | people |\n| --- | --- |\n| Ulm | 128,928 |\n| Bonn | 335,789 |\n";

/// What the model says: a person's name before the words is no part of them.
fn says(request: &Request<'_>) -> Reply {
    let text = request.text;
    if request.tool_result.is_some() {
        return by_words(request);
    }
    let text = match text.lines().last().and_then(|line| line.split_once(": ")) {
        Some((name, words)) if name.chars().all(char::is_alphanumeric) => words,
        _ => text,
    };
    if text.trim() == "long" {
        let lines: Vec<String> = (0..LINES).map(|number| format!("line {number} of it")).collect();
        return Reply::Text(format!("```\n{}\n```", lines.join("\n")));
    }
    if text.trim() == "table" {
        return Reply::Text(TABLE.into());
    }
    by_words(&Request {
        body: request.body,
        text,
        tool_result: None,
        times: request.times,
    })
}

/// A platform with its bot, as one person there meets it.
struct Street {
    name: &'static str,
    platform: Box<dyn Platform>,
    model: Arc<Model>,
    folder: PathBuf,
}

impl Street {
    async fn act(&self, act: Act) -> String {
        let shown = format!("{}: {act:?}", self.name);
        let acted = self.acted(act).await;
        assert!(!acted.impossible, "impossible: {shown}");
        acted.message.unwrap_or_default()
    }

    async fn acted(&self, act: Act) -> Acted {
        let shown = format!("{}: {act:?}", self.name);
        let acted = tokio::time::timeout(PATIENCE, self.platform.act(act)).await;
        let acted = acted.unwrap_or_else(|_| panic!("no answer in time: {shown}"));
        let acted = acted.unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert_eq!(acted.refused, None, "{shown}");
        acted
    }

    async fn say(&self, place: &Place, text: &str, mention: bool) -> String {
        self.with_files(place, text, mention, Vec::new()).await
    }

    async fn with_files(&self, place: &Place, text: &str, mention: bool, files: Vec<(String, Vec<u8>)>) -> String {
        self.act(Act::Say {
            place: place.clone(),
            by: Actor::Person,
            text: text.to_owned(),
            mention,
            files,
        })
        .await
    }

    /// Waits until a look finds something.
    async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.platform.changes();
        let found = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                changes.changed().await.expect("the platform is there");
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!(
                "{}: not in time: {what}; there stands {:#?}",
                self.name,
                self.platform.seen(&Place::Direct)
            ),
        }
    }

    /// A message of the bot's with these words, at which nothing is open any more.
    async fn reads(&self, place: &Place, words: &str) -> Seen {
        let like = |seen: &Seen| seen.text.contains(words) && seen.buttons.is_empty();
        self.until(words, || self.platform.seen(place).into_iter().find(like))
            .await
    }

    /// Presses the newest button of that label, when it is there.
    async fn press(&self, place: &Place, label: &str) {
        let token = |seen: Seen| {
            let found = seen.buttons.into_iter().find(|(text, _)| text.contains(label));
            found.map(|(_, token)| token)
        };
        let token = self
            .until(label, || self.platform.seen(place).into_iter().rev().find_map(token))
            .await;
        let place = place.clone();
        self.act(Act::Press { place, token }).await;
    }

    /// What models were asked since then.
    fn asked(&self, from: usize) -> String {
        let requests = self.model.requests();
        requests[from..].iter().map(Value::to_string).collect()
    }

    fn made(&self, name: &str) -> bool {
        made(&self.folder, &format!("{}-{name}", self.name))
    }

    fn touch(&self, name: &str) -> String {
        let command = format!("touch {}-{name}", self.name);
        format!(
            "tool Bash {}",
            json!({ "command": command, "description": "make a file" })
        )
    }

    /// Everything that a person does here before the host is started anew.
    async fn day(&self) {
        self.talk().await;
        self.decide().await;
        self.stop().await;
        self.change_their_mind().await;
        self.give_and_take().await;
        self.read_much().await;
    }

    async fn talk(&self) {
        let direct = Place::Direct;
        self.say(&direct, &format!("hello from {}", self.name), false).await;
        self.reads(&direct, &format!("echo: hello from {}", self.name)).await;
        // In a room it hears what is said to it, knows what was said before, and goes on in the thread.
        self.say(&Place::Channel, "the build is red", false).await;
        let before = self.model.requests().len();
        let asked = self.say(&Place::Channel, "why is it red", true).await;
        let thread = Place::Thread(asked);
        self.reads(&thread, "why is it red").await;
        assert!(self.asked(before).contains("the build is red"), "{}", self.name);
        self.say(&thread, "and since when", false).await;
        self.reads(&thread, "and since when").await;
        self.act(Act::Command {
            place: direct.clone(),
            name: "whoami".to_owned(),
            arguments: String::new(),
        })
        .await;
        self.until("its answer", || {
            let seen = self.platform.seen(&direct);
            seen.into_iter().find(|seen| seen.text.contains("You may decide"))
        })
        .await;
    }

    async fn decide(&self) {
        let direct = Place::Direct;
        self.say(&direct, &self.touch("allowed"), false).await;
        self.until("what it will do", || {
            let seen = self.platform.seen(&direct);
            let open = |seen: &Seen| seen.buttons.iter().any(|(label, _)| label.contains("Allow"));
            seen.into_iter()
                .find(|seen| open(seen) && seen.text.contains(&format!("touch {}-allowed", self.name)))
        })
        .await;
        self.press(&direct, "Allow").await;
        self.until("the file", || self.made("allowed").then_some(())).await;
        self.settled().await;
        self.say(&direct, &self.touch("denied"), false).await;
        self.press(&direct, "Deny with a reason").await;
        let fields = self.until("a form", || self.platform.form()).await;
        let before = self.model.requests().len();
        self.act(Act::Submit {
            place: direct.clone(),
            values: vec![(fields[0].clone(), "not on a Friday".to_owned())],
        })
        .await;
        self.settled().await;
        assert!(self.asked(before).contains("not on a Friday"), "{}", self.name);
        assert!(!self.made("denied"), "{}", self.name);
        let questions = json!({ "questions": [{
            "question": "Which colour?", "header": "Colour", "multiSelect": false,
            "options": [{ "label": "Red", "description": "as blood" }, { "label": "Blue", "description": "as the sea" }],
        }] });
        let before = self.model.requests().len();
        self.say(&direct, &format!("tool AskUserQuestion {questions}"), false)
            .await;
        self.press(&direct, "Blue").await;
        self.settled().await;
        assert!(self.asked(before).contains("Blue"), "{}", self.name);
    }

    /// Waits until nothing is open and no turn runs.
    async fn settled(&self) {
        self.until("an end", || {
            let seen = self.platform.seen(&Place::Direct);
            seen.iter().all(|seen| seen.buttons.is_empty()).then_some(())
        })
        .await;
    }

    async fn stop(&self) {
        let direct = Place::Direct;
        let slow = |what: &str| format!("slow 100 {}{what}", "word ".repeat(2000));
        self.say(&direct, &slow("one"), false).await;
        self.until("its beginning", || {
            let seen = self.platform.seen(&direct).into_iter();
            seen.filter(|seen| !seen.buttons.is_empty())
                .find(|seen| seen.text.contains("word word"))
        })
        .await;
        self.press(&direct, "Stop").await;
        self.settled().await;
        // A reaction says the same, and what waited and was taken back is not asked.
        let before = self.model.requests().len();
        self.say(&direct, &slow("two"), false).await;
        let running = self
            .until("its beginning", || {
                let seen = self.platform.seen(&direct).into_iter().rev();
                seen.take(2)
                    .filter(|seen| !seen.buttons.is_empty())
                    .find(|seen| seen.text.contains("word word"))
            })
            .await;
        let waiting = self.say(&direct, "never mind this", false).await;
        self.act(Act::Delete {
            place: direct.clone(),
            message: waiting,
        })
        .await;
        self.act(Act::React {
            place: direct.clone(),
            message: running.id,
        })
        .await;
        self.settled().await;
        self.say(&direct, "are you there", false).await;
        self.reads(&direct, "echo: are you there").await;
        assert!(!self.asked(before).contains("never mind this"), "{}", self.name);
    }

    async fn change_their_mind(&self) {
        let direct = Place::Direct;
        let said = self.say(&direct, "two and two", false).await;
        self.reads(&direct, "echo: two and two").await;
        let edit = Act::Edit {
            place: direct.clone(),
            message: said,
            text: "three and three".to_owned(),
        };
        if self.acted(edit).await.impossible {
            // Feishu tells no app of an edit.
            assert_eq!(self.name, "feishu");
            return;
        }
        self.press(&direct, "Run again").await;
        self.reads(&direct, "echo: three and three").await;
    }

    async fn give_and_take(&self) {
        let direct = Place::Direct;
        let before = self.model.requests().len();
        let image = hex::decode(PNG.replace(char::is_whitespace, "")).expect("an image");
        self.with_files(&direct, "look at it", false, vec![("dot.png".to_owned(), image)])
            .await;
        // The CLI says where it keeps the image; the words before it are not what the model's fake answers to.
        self.reads(&direct, "[Image: source: ").await;
        let asked = self.asked(before);
        assert!(
            asked.contains("\"type\":\"image\"") && asked.contains("look at it"),
            "{asked}"
        );
        let command = format!("mkdir -p outbox && echo of {0} > outbox/{0}-given.txt", self.name);
        self.say(
            &direct,
            &format!(
                "tool Bash {}",
                json!({ "command": command, "description": "give a file" })
            ),
            false,
        )
        .await;
        self.press(&direct, "Allow").await;
        let name = format!("{}-given.txt", self.name);
        let given = self
            .until("a file", || {
                let files = self.platform.files();
                files.into_iter().find(|(given, _)| *given == name)
            })
            .await;
        assert_eq!(given.1, format!("of {}\n", self.name).as_bytes());
        self.settled().await;
    }

    async fn read_much(&self) {
        let direct = Place::Direct;
        self.say(&direct, "table", false).await;
        let table = self.reads(&direct, "335,789").await;
        for cell in ["town", "people", "Ulm", "128,928", "Bonn"] {
            assert!(table.text.contains(cell), "{}: {}", self.name, table.text);
        }
        self.say(&direct, "long", false).await;
        let last = format!("line {} of it", LINES - 1);
        let all = self
            .until("its end", || {
                let mut text: String = self
                    .platform
                    .seen(&direct)
                    .into_iter()
                    .map(|seen| seen.text + "\n")
                    .collect();
                for (_, bytes) in self.platform.files() {
                    text.push_str(&String::from_utf8_lossy(&bytes));
                }
                text.contains(&last).then_some(text)
            })
            .await;
        self.settled().await;
        for number in 0..LINES {
            let line = format!("line {number} of it");
            assert!(all.contains(&line), "{}: `{line}` was lost", self.name);
        }
    }

    /// What is left of it when the host was started anew.
    async fn remember(&self) {
        let before = self.model.requests().len();
        self.say(&Place::Direct, "after the restart", false).await;
        self.reads(&Place::Direct, "echo: after the restart").await;
        let hello = format!("hello from {}", self.name);
        assert!(self.asked(before).contains(&hello), "{}: it has forgotten", self.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_every_platform_are_served_by_one_binary_at_the_same_time() {
    let program = programs().remove(0);
    let model = Arc::new(Model::scripted(says).await);
    let platforms: Vec<(&'static str, Box<dyn Platform>)> = vec![
        ("discord", Box::new(DiscordPlatform::start().await)),
        ("feishu", Box::new(FeishuPlatform::start_in("connection").await)),
        ("slack", Box::new(SlackPlatform::start_in("socket").await)),
    ];
    let agent = format!(
        "command = [{program:?}]\nlogin = {{ api_key = \"file:key\" }}\nallowed_tools = [\"Read\"]\n\
         env = {{ ANTHROPIC_BASE_URL = {:?} }}",
        model.url()
    );
    let folder = folder(&agent, &platforms);
    std::fs::write(folder.path().join("key"), "sk-ant-test-key").expect("the key is written");
    let streets: Vec<Street> = platforms
        .into_iter()
        .map(|(name, platform)| Street {
            name,
            platform,
            model: Arc::clone(&model),
            folder: folder.path().to_owned(),
        })
        .collect();
    let vendors: Vec<(&'static str, &dyn Platform)> =
        streets.iter().map(|street| (street.name, &*street.platform)).collect();
    let host = open(folder.path(), &vendors).await;
    join_all(streets.iter().map(Street::day)).await;
    host.terminate().await;
    let host = open(folder.path(), &vendors).await;
    join_all(streets.iter().map(Street::remember)).await;
    host.terminate().await;
    assert_eq!(model.violations(), Vec::<String>::new());
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
}
