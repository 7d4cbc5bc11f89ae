//! What a person can do in a chat, on every platform that there is: the same walk at each, with the real binary and the
//! scripted CLI behind it. Where a platform lacks something, what it does instead is asserted in its place.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use botyard_fakes::platform::{Act, Actor, DiscordPlatform, FeishuPlatform, Place, Platform, Seen, SlackPlatform};
use serde_json::{Value, json};

use crate::binary::{RealHost, eventually};
use crate::everywhere::{folder_with, open};
use crate::web::{Page, blocks};

/// A platform, as one person there meets it.
enum Chat {
    Vendor(Box<dyn Platform>),
    Page(Page),
}

/// How a platform differs.
#[derive(Debug, Clone, Copy)]
struct Ways {
    /// Commands are the platform's own; else they are typed.
    native: bool,
    /// There are rooms with others in them.
    rooms: bool,
}

struct Street {
    name: &'static str,
    chat: Chat,
    ways: Ways,
    count: AtomicUsize,
    /// The form that was opened last at the page.
    form: std::sync::Mutex<Value>,
}

/// The one conversation of the page.
const PAGE: &str = "c1";

impl Street {
    /// An id that nothing had before.
    fn id(&self) -> String {
        format!("w{}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    async fn act(&self, act: Act) {
        let Chat::Vendor(platform) = &self.chat else {
            panic!("{act:?} at the page");
        };
        let shown = format!("{}: {act:?}", self.name);
        let acted = platform
            .act(act)
            .await
            .unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert!(!acted.impossible && acted.refused.is_none(), "{acted:?}: {shown}");
    }

    async fn say(&self, place: &Place, text: &str) {
        match &self.chat {
            Chat::Page(page) => page.say(PAGE, &self.id(), text).await,
            Chat::Vendor(_) => {
                self.act(Act::Say {
                    place: place.clone(),
                    by: Actor::Person,
                    text: text.to_owned(),
                    mention: *place != Place::Direct,
                    files: Vec::new(),
                })
                .await;
            }
        }
    }

    async fn command(&self, place: &Place, name: &str, arguments: &str) {
        if !self.ways.native {
            return self.say(place, format!("/{name} {arguments}").trim()).await;
        }
        self.act(Act::Command {
            place: place.clone(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
        .await;
    }

    async fn seen(&self, place: &Place) -> Vec<Seen> {
        let page = match &self.chat {
            Chat::Vendor(platform) => return platform.seen(place),
            Chat::Page(page) => page,
        };
        let seen = |view: Value| {
            let choices = blocks(&view, "ask")
                .into_iter()
                .filter_map(|ask| ask["choices"].as_array());
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let stop = view["stop"].as_str().map(|token| ("Stop".to_owned(), token.to_owned()));
            let buttons = choices
                .flatten()
                .map(|choice| (text(&choice["label"]), text(&choice["token"])));
            Seen {
                id: text(&view["turn"]),
                buttons: buttons.chain(stop).collect(),
                text: view["blocks"].to_string(),
                pings: Vec::new(),
                whispered: false,
            }
        };
        page.views(PAGE).await.into_iter().map(seen).collect()
    }

    /// Waits for a message that was not there before and is as it should be.
    async fn until(&self, place: &Place, before: &HashSet<String>, what: &str, like: impl Fn(&Seen) -> bool) -> Seen {
        eventually(&format!("{}: {what}", self.name), async || {
            let mut seen = self.seen(place).await.into_iter();
            seen.find(|seen| !before.contains(&seen.id) && like(seen))
        })
        .await
    }

    async fn ids(&self, place: &Place) -> HashSet<String> {
        self.seen(place).await.into_iter().map(|seen| seen.id).collect()
    }

    /// Says something; the answer, when it is whole.
    async fn asked(&self, place: &Place, text: &str, answer: &str) -> Seen {
        let before = self.ids(place).await;
        self.say(place, text).await;
        self.until(place, &before, answer, |seen| {
            seen.text.contains(answer) && seen.buttons.is_empty()
        })
        .await
    }

    /// Gives a command; what is answered.
    async fn told(&self, place: &Place, command: (&str, &str), answer: &str) -> Seen {
        let before = self.ids(place).await;
        self.command(place, command.0, command.1).await;
        self.until(place, &before, answer, |seen| seen.text.contains(answer))
            .await
    }

    /// Says something and waits for a question with this button.
    async fn open(&self, text: &str, label: &str) -> Seen {
        let before = self.ids(&Place::Direct).await;
        self.say(&Place::Direct, text).await;
        let has = |seen: &Seen| seen.buttons.iter().any(|(text, _)| text.contains(label));
        self.until(&Place::Direct, &before, label, has).await
    }

    async fn press(&self, place: &Place, seen: &Seen, label: &str) {
        let found = seen.buttons.iter().find(|(text, _)| text.contains(label));
        let (_, token) = found.unwrap_or_else(|| panic!("{}: no {label} in {seen:?}", self.name));
        match &self.chat {
            Chat::Page(page) => {
                let word = page.press(PAGE, &self.id(), token).await;
                *self.form.lock().expect("no panic") = word["form"].clone();
            }
            Chat::Vendor(_) => {
                let (place, token) = (place.clone(), token.clone());
                self.act(Act::Press { place, token }).await;
            }
        }
    }

    /// Fills the form in that was opened.
    async fn submit(&self, name: &str, value: &str) {
        match &self.chat {
            Chat::Page(page) => {
                let form = self.form.lock().expect("no panic").clone();
                assert_eq!(form["fields"][0]["name"], name, "{form}");
                let token = form["token"].as_str().expect("a token");
                page.submit(PAGE, &self.id(), token, &json!([[name, value]])).await;
            }
            Chat::Vendor(platform) => {
                let fields = eventually("a form", async || platform.form()).await;
                let field = fields.iter().find(|field| field.contains(name));
                let field = field.unwrap_or_else(|| panic!("{}: no {name} in {fields:?}", self.name));
                self.act(Act::Submit {
                    place: Place::Direct,
                    values: vec![(field.clone(), value.to_owned())],
                })
                .await;
            }
        }
    }

    /// The files that the bot gave.
    async fn files(&self) -> Vec<(String, Vec<u8>)> {
        let page = match &self.chat {
            Chat::Vendor(platform) => return platform.files(),
            Chat::Page(page) => page,
        };
        let mut files = Vec::new();
        for view in page.views(PAGE).await {
            for file in blocks(&view, "file") {
                let (id, name) = (
                    file["file"].as_str().expect("an id"),
                    file["name"].as_str().expect("a name"),
                );
                files.push((name.to_owned(), page.download(id, name).await.0));
            }
        }
        files
    }

    async fn walk(&self) {
        self.sessions().await;
        self.queue().await;
        self.decisions().await;
        if self.ways.rooms {
            self.whispers().await;
        }
    }

    async fn sessions(&self) {
        let direct = &Place::Direct;
        self.asked(direct, "remember red", "remember red").await;
        self.told(direct, ("rename", "first one"), "Renamed.").await;
        self.told(direct, ("new", ""), "new conversation begins").await;
        self.asked(direct, "only blue", "only blue").await;
        let list = self.told(direct, ("list", ""), "Sessions (2)").await;
        let before = self.ids(direct).await;
        self.press(direct, &list, "first one").await;
        let switched = |seen: &Seen| seen.text.contains("This is first one now.");
        self.until(direct, &before, "the switch", switched).await;
        let recalled = self.asked(direct, "recall", "remember red").await;
        assert!(!recalled.text.contains("only blue"), "{}: {recalled:?}", self.name);
        self.told(direct, ("fork", ""), "This is a copy now").await;
        self.asked(direct, "and green", "and green").await;
        self.told(direct, ("list", ""), "Sessions (3)").await;
        self.told(direct, ("export", ""), ".md").await;
        let (name, text) = eventually(&format!("{}: the conversation as a file", self.name), async || {
            let found = self.files().await.into_iter().next()?;
            Some((found.0, String::from_utf8(found.1).expect("a text")))
        })
        .await;
        assert!(name.starts_with("session-"), "{}: {name}", self.name);
        let [red, green] = ["remember red", "and green"].map(|words| text.matches(words).count());
        // What was asked and answered, and once more in what was recalled.
        assert_eq!(
            (red, green, text.contains("only blue")),
            (3, 2, false),
            "{}: {text}",
            self.name
        );
    }

    async fn queue(&self) {
        let direct = &Place::Direct;
        self.say(direct, "hang").await;
        self.say(direct, "second thing").await;
        self.told(direct, ("queue", ""), "second thing").await;
        self.told(direct, ("queue", "drop 1"), "It waits no longer.").await;
        self.told(direct, ("queue", ""), "Nothing waits.").await;
        let before = self.ids(direct).await;
        self.command(direct, "now", "third thing").await;
        let third = |seen: &Seen| seen.text.contains("third thing") && seen.buttons.is_empty();
        self.until(direct, &before, "what is done now", third).await;
        let recalled = self.asked(direct, "recall", "third thing").await;
        assert!(!recalled.text.contains("second thing"), "{}: {recalled:?}", self.name);
    }

    /// Waits until the answer to a question stands in its message, or in one behind it.
    async fn decided(&self, question: &Seen, words: &str) {
        eventually(&format!("{}: {words}", self.name), async || {
            let seen = self.seen(&Place::Direct).await;
            let at = seen.iter().position(|seen| seen.id == question.id)?;
            let over = |seen: &Seen| seen.text.contains(words) && seen.buttons.is_empty();
            seen[at..].iter().any(over).then_some(())
        })
        .await;
    }

    async fn decisions(&self) {
        let direct = &Place::Direct;
        let question = self.open("permission ls x", "Allow for this session").await;
        self.press(direct, &question, "Allow for this session").await;
        self.decided(&question, "allowed: ls x").await;
        // It is not asked for again.
        let again = self.asked(direct, "permission ls x", "allowed: ls x").await;
        assert!(!again.text.contains("Allow"), "{}: {again:?}", self.name);

        let question = self.open("permission rm y", "Edit").await;
        self.press(direct, &question, "Edit").await;
        self.submit("input", "ls y").await;
        self.decided(&question, "allowed: ls y").await;

        let question = self.open("propose", "Go ahead").await;
        self.press(direct, &question, "Go ahead").await;
        self.decided(&question, "approved").await;

        let named = self.asked(direct, "@reviewer please check", "please check").await;
        let (by_name, as_said) = (named.text.contains("reviewer"), named.text.contains("@reviewer"));
        assert_eq!((by_name, as_said), (true, false), "{}: {named:?}", self.name);
        let routed = self.asked(direct, "@review read it", "told to check: ").await;
        assert!(routed.text.contains("reviewer"), "{}: {routed:?}", self.name);
    }

    /// A list that only one person sees can be pressed too; where nothing is whispered, all of the room see it.
    async fn whispers(&self) {
        let room = &Place::Channel;
        self.asked(room, "the room is green", "the room is green").await;
        self.told(room, ("rename", "green room"), "Renamed.").await;
        self.told(room, ("new", ""), "new conversation begins").await;
        self.asked(room, "only black here", "only black here").await;
        let list = self.told(room, ("list", ""), "Sessions (2)").await;
        assert_eq!(list.whispered, self.ways.native, "{}: {list:?}", self.name);
        let before = self.ids(room).await;
        self.press(room, &list, "green room").await;
        let switched = |seen: &Seen| seen.text.contains("This is green room now.");
        self.until(room, &before, "the switch", switched).await;
        let recalled = self.asked(room, "recall", "the room is green").await;
        assert!(!recalled.text.contains("only black"), "{}: {recalled:?}", self.name);
    }
}

/// What every bot has: a second agent, and a route that tells it something else than was said.
fn agents() -> (String, &'static str) {
    let cli = botyard_fakes::cli::program();
    let agent = format!(
        "driver = \"claude\"\ncommand = [{cli:?}]\nlogin = \"none\"\n\n[agent.reviewer]\ncommand = [{cli:?}]\nlogin = \"none\"\n\n\
         [route.review]\nsteps = [{{ to = [\"reviewer\"], say = \"told to check: {{message}}\" }}]\n"
    );
    (
        agent,
        "scope = \"channel\"\nagents = [\"reviewer\"]\nroutes = [\"review\"]",
    )
}

fn street(name: &'static str, chat: Chat, ways: Ways) -> Street {
    Street {
        name,
        chat,
        ways,
        count: AtomicUsize::new(0),
        form: std::sync::Mutex::default(),
    }
}

async fn vendor(name: &'static str, platform: Box<dyn Platform>, native: bool) {
    let (agent, more) = agents();
    let platforms = [(name, platform)];
    let folder = folder_with(&agent, more, &platforms);
    let host = open(folder.path(), &[(name, &*platforms[0].1)]).await;
    let [(_, platform)] = platforms;
    let ways = Ways { native, rooms: true };
    street(name, Chat::Vendor(platform), ways).walk().await;
    host.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_on_slack() {
    vendor("slack", Box::new(SlackPlatform::start().await), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_on_discord() {
    vendor("discord", Box::new(DiscordPlatform::start().await), true).await;
}

/// Feishu's menu takes no arguments, so commands are typed, and what is typed is answered to all.
#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_on_feishu() {
    vendor("feishu", Box::new(FeishuPlatform::start().await), false).await;
}

fn write(folder: &Path) {
    let (agent, more) = agents();
    let text = format!(
        "[host]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\n\n[agent.one]\n{agent}\n\n[[bot]]\nname = \"local\"\nadapter = \"web\"\n\
         agent = \"one\"\n{more}\nworkspace = \"work\"\nallow = [\"*\"]\n"
    );
    std::fs::write(folder.join("bots.toml"), text).expect("bots.toml is written");
}

/// The page has no rooms, and everything on it is for one person.
#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_on_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    let ways = Ways {
        native: false,
        rooms: false,
    };
    street("web", Chat::Page(page), ways).walk().await;
    host.terminate().await;
}
