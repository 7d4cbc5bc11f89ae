//! The fake as the host, and calls of the account.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use botyard_fakes::discord::{self, ANN, BEN, BOT, DIRECT, GENERAL, GUILD, World};
use botyard_sdk::account::{Argument, CommandSpec, Severity};
use botyard_sdk::raw_http::{Body, Content, Downloaded, Request, Response};
use botyard_sdk::serde_json::json;
use botyard_sdk::types::{Attachment, Conversation, Error, FileRef};

use crate::api::{Api, Wire};
use crate::{before, describe, me, said_of, who};

/// A host that passes requests to a world in memory, and puts the token where the manifest allows it.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) world: World,
    pub(crate) saved: RefCell<Vec<Vec<u8>>>,
    pub(crate) posted: RefCell<Vec<String>>,
    pub(crate) moved: RefCell<Vec<Conversation>>,
    /// Bytes of the host's files.
    pub(crate) files: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Seconds that the clock is ahead.
    pub(crate) later: Cell<u32>,
}

pub(crate) fn now() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u32::try_from(since.map_or(0, |since| since.as_secs())).expect("before 2106")
}

pub(crate) fn fake() -> Api<Fake> {
    let world = World::new();
    world.unpaced();
    Api {
        wire: Fake {
            world,
            saved: RefCell::default(),
            posted: RefCell::default(),
            moved: RefCell::default(),
            files: RefCell::new(BTreeMap::from([("f1".to_owned(), b"a,b\n1,2\n".to_vec())])),
            later: Cell::new(0),
        },
    }
}

impl Fake {
    fn bytes(&self, content: &Content) -> Vec<u8> {
        match content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::File(id) => self.files.borrow().get(id).cloned().unwrap_or_default(),
        }
    }

    fn pass(&self, request: &Request) -> Result<Response, Error> {
        let target = request.url.strip_prefix("http://discord.invalid").map_or_else(
            || {
                assert!(request.url.starts_with('/'), "{} is below the api-base", request.url);
                format!("/api/v10{}", request.url)
            },
            str::to_owned,
        );
        let mut content_type = botyard_sdk::http::header(&request.headers, "content-type").map(str::to_owned);
        let token = request.secrets.iter().any(|placed| placed.secret == "token");
        let body = match &request.body {
            Body::Empty => Vec::new(),
            Body::Bytes(bytes) => bytes.clone(),
            Body::File(id) => self.bytes(&Content::File(id.clone())),
            Body::Multipart(parts) => {
                content_type = Some("multipart/form-data; boundary=XX".into());
                let mut body = Vec::new();
                for part in parts {
                    let name = part
                        .filename
                        .as_ref()
                        .map(|name| format!("; filename=\"{name}\""))
                        .unwrap_or_default();
                    body.extend(
                        format!(
                            "--XX\r\nContent-Disposition: form-data; name=\"{}\"{name}\r\n\r\n",
                            part.name
                        )
                        .bytes(),
                    );
                    body.extend(self.bytes(&part.content));
                    body.extend(b"\r\n");
                }
                body.extend(b"--XX--\r\n");
                body
            }
        };
        let reply = self.world.request(&discord::Request {
            method: request.method.clone(),
            target,
            authorization: token.then(|| format!("Bot {}", discord::TOKEN)),
            content_type,
            body,
        });
        if reply.cut {
            return Err(Error::Ambiguous("the connection was cut".into()));
        }
        Ok(Response {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
        })
    }
}

impl Wire for Fake {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        self.pass(request)
    }

    fn download(&self, request: &Request, name: &str) -> Result<Downloaded, Error> {
        let response = self.pass(request)?;
        if response.status != 200 {
            return Ok(Downloaded::Refused(response));
        }
        let media_type = botyard_sdk::http::header(&response.headers, "content-type").unwrap_or_default();
        Ok(Downloaded::File(FileRef {
            id: "f9".into(),
            name: name.into(),
            media_type: media_type.to_owned(),
            size_bytes: u32::try_from(response.body.len()).expect("small"),
        }))
    }

    fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<FileRef, Error> {
        let id = format!("kept-{name}");
        self.files.borrow_mut().insert(id.clone(), bytes.to_vec());
        Ok(FileRef {
            id,
            name: name.into(),
            media_type: media_type.into(),
            size_bytes: u32::try_from(bytes.len()).expect("small"),
        })
    }

    fn save(&self, memory: &[u8]) -> Result<(), Error> {
        self.saved.borrow_mut().push(memory.to_vec());
        Ok(())
    }

    fn posted(&self, message: &str) -> Result<(), Error> {
        self.posted.borrow_mut().push(message.to_owned());
        Ok(())
    }

    fn moved(&self, to: &Conversation) -> Result<(), Error> {
        self.moved.borrow_mut().push(to.clone());
        Ok(())
    }

    fn now(&self) -> u32 {
        now() + self.later.get()
    }

    fn me(&self) -> Option<String> {
        Some(BOT.to_owned())
    }
}

pub(crate) fn channel(thread: Option<&str>) -> Conversation {
    Conversation {
        tenant: Some(GUILD.into()),
        channel: GENERAL.into(),
        thread: thread.map(str::to_owned),
        direct: false,
    }
}

pub(crate) fn direct() -> Conversation {
    Conversation {
        tenant: None,
        channel: DIRECT.into(),
        thread: None,
        direct: true,
    }
}

#[test]
fn the_bot_knows_itself_and_others() {
    let api = fake();
    let bot = me(&api).expect("/users/@me");
    assert_eq!(
        (bot.id.as_str(), bot.name.as_deref(), bot.bot),
        (BOT, Some("botyard"), true)
    );
    let ann = who(&api, ANN, &channel(None)).expect("a member");
    assert_eq!(
        (ann.name.as_deref(), ann.handle.as_deref(), ann.tenant.as_deref()),
        (Some("Ann"), Some("ann"), Some(GUILD))
    );
    let ben = who(&api, BEN, &direct()).expect("a user");
    assert_eq!((ben.name.as_deref(), ben.tenant.as_deref()), (Some("Ben"), None));
    assert_eq!(
        who(&api, "499", &channel(None)),
        Err(Error::Gone("the person or the server is not there any more".into()))
    );
    assert_eq!(
        who(&api, "../../guilds", &direct()),
        Err(Error::Gone("`../../guilds` is no person of Discord's".into()))
    );
}

fn lacking(api: &Api<Fake>, mode: &str) -> Vec<(String, String)> {
    let findings = describe::check(api, mode).expect("an answer");
    let bad = findings
        .into_iter()
        .filter(|finding| finding.severity != Severity::Fine);
    bad.map(|finding| (finding.subject, finding.advice)).collect()
}

#[test]
fn what_the_account_lacks_is_one_sentence_each() {
    let api = fake();
    assert_eq!(lacking(&api, "gateway"), []);
    api.wire.world.application(false, Some("https://old.example/hook"));
    api.wire
        .world
        .permissions((1 << 10) | (1 << 11) | (1 << 38) | (1 << 35) | (1 << 14) | (1 << 16));
    let subjects = |mode| {
        lacking(&api, mode)
            .into_iter()
            .map(|(subject, _)| subject)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        subjects("gateway"),
        [
            "intent Message Content",
            "Interactions Endpoint URL",
            "permission Attach Files in Fake"
        ]
    );
    assert_eq!(
        subjects("mentions"),
        ["Interactions Endpoint URL", "permission Attach Files in Fake"]
    );
    assert_eq!(subjects("interactions"), ["permission Attach Files in Fake"]);
    // Who administers may everything.
    api.wire.world.permissions(1 << 3);
    assert_eq!(subjects("interactions"), Vec::<String>::new());
    api.wire.world.reset_token();
    let refused = lacking(&api, "gateway");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].1.contains("copy it anew"), "{refused:?}");
}

fn specs() -> Vec<CommandSpec> {
    vec![CommandSpec {
        name: "Model".into(),
        description: "Which model".into(),
        argument: Some(Argument {
            name: "Name".into(),
            description: String::new(),
            required: false,
            choices: vec!["small".into(), "large".into()],
        }),
    }]
}

#[test]
fn commands_are_told_once_and_again_when_they_change() {
    let api = fake();
    describe::announce(&api, &specs()).expect("announced");
    let names: Vec<String> = api
        .wire
        .world
        .commands()
        .iter()
        .map(|c| c["name"].to_string())
        .collect();
    assert_eq!(names, ["\"ask\"", "\"Ask about this\"", "\"model\""]);
    let puts = || {
        api.wire
            .world
            .called()
            .iter()
            .filter(|name| name.starts_with("PUT"))
            .count()
    };
    describe::announce(&api, &specs()).expect("announced");
    assert_eq!(puts(), 1, "nothing changed, nothing is told");
    describe::announce(&api, &[]).expect("announced");
    assert_eq!(puts(), 2);
}

#[test]
fn a_file_is_fetched_without_the_token() {
    let api = fake();
    let world = &api.wire.world;
    world.write(GENERAL, ANN, "look", None, &[("a b.csv", b"1,2")]);
    let id = world.messages(GENERAL)[0].id.clone();
    let attachment = Attachment {
        name: "a b.csv".into(),
        media_type: None,
        size_bytes: Some(3),
        source: format!("http://discord.invalid/attachments/{id}/0/a b.csv?ex=1"),
    };
    let file = api.download(&attachment.source, &attachment.name).expect("a file");
    assert_eq!(
        (file.media_type.as_str(), file.size_bytes),
        ("text/csv; charset=utf-8", 3)
    );
    let gone = api.download("http://discord.invalid/attachments/1/0/x", "x");
    assert_eq!(gone, Err(Error::Gone("status 404".into())));
}

#[test]
fn what_programs_said_before_is_told_with_its_embeds_and_files() {
    let said = said_of(&json!({
        "id": "1444000000000000000", "content": "", "author": { "id": "5", "username": "monitor", "bot": true },
        "embeds": crate::event::tests::embeds(),
        "message_snapshots": [{ "message": { "content": "old", "attachments": [{ "filename": "b.txt", "url": "u" }] } }],
    }));
    let said = said.expect("it was said");
    let expected = format!("{}\n\n> old", crate::event::tests::EMBEDS);
    assert_eq!(
        (said.text, said.sender.bot, said.attachments[0].name.as_str()),
        (expected, true, "b.txt")
    );
}

#[test]
fn history_is_told_oldest_first_and_a_thread_begins_with_its_question() {
    let api = fake();
    let world = &api.wire.world;
    let first = world.say(GENERAL, ANN, "one");
    let second = world.say(GENERAL, BEN, "two <@400000000000000001>");
    let third = world.say(GENERAL, ANN, "three");
    let told = |conversation: &Conversation, until: Option<&str>, most: u32| {
        let said = before(&api, conversation, until, most).expect("history");
        said.into_iter().map(|said| (said.id, said.text)).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&channel(None), Some(&third), 10),
        [
            (first.clone(), "one".to_owned()),
            (second.clone(), "two <@400000000000000001>".to_owned())
        ]
    );
    assert_eq!(told(&channel(None), None, 1), [(third, "three".to_owned())]);
    // The thread that the question is to open is not there yet.
    assert_eq!(
        told(&channel(Some(&second)), Some(&second), 5),
        [(first, "one".to_owned())]
    );
    api.make_thread(GENERAL, &second, "two").expect("a thread");
    let reply = world.say(&second, ANN, "four");
    assert_eq!(
        told(&channel(Some(&second)), None, 5),
        [
            (second, "two <@400000000000000001>".to_owned()),
            (reply, "four".to_owned())
        ]
    );
}
