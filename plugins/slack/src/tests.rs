//! The fake as the host, and calls of the account.

use std::cell::{Cell, RefCell};

use botyard_fakes::slack::{self, Workspace};
use botyard_sdk::account::{Finding, Severity};
use botyard_sdk::history::Said;
use botyard_sdk::raw_http::{Body, Downloaded, Request, Response};
use botyard_sdk::serde_json::json;
use botyard_sdk::types::{Attachment, Conversation, Error, FileRef};

use crate::api::{Api, Progress, Wire};
use crate::{before, describe, fetch, me, said_of, who};

/// What the host takes of an answer.
const ANSWER_MAX: usize = 8 << 20;

/// A host that passes requests to a team in memory, and puts the token where the manifest allows it.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) team: Workspace,
    pub(crate) saved: RefCell<Option<Vec<u8>>>,
    pub(crate) posted: RefCell<Vec<String>>,
    pub(crate) clock: Cell<u32>,
    pub(crate) kept: RefCell<Vec<String>>,
    pub(crate) progress: Cell<Progress>,
    /// Bytes of the host's files.
    pub(crate) file: Vec<u8>,
    /// What the host takes of an answer.
    pub(crate) answer_max: Cell<usize>,
}

pub(crate) fn fake() -> Api<Fake> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let team = Workspace::new();
    // No host is here to keep to the rates.
    team.unpaced();
    Api {
        wire: Fake {
            team,
            saved: RefCell::default(),
            posted: RefCell::default(),
            kept: RefCell::default(),
            progress: Cell::new(Progress::Auto),
            clock: Cell::new(u32::try_from(now).expect("before 2106")),
            file: b"a,b\n1,2\n".to_vec(),
            answer_max: Cell::new(ANSWER_MAX),
        },
    }
}

impl Fake {
    fn pass(&self, request: &Request) -> Result<Response, Error> {
        let target = request.url.strip_prefix("http://slack.invalid").map_or_else(
            || {
                assert!(request.url.starts_with('/'), "{} is below the api-base", request.url);
                format!("/api{}", request.url)
            },
            str::to_owned,
        );
        let header = |name: &str| botyard_sdk::http::header(&request.headers, name).map(str::to_owned);
        let token = request.secrets.first().map(|placed| match placed.secret.as_str() {
            "bot_token" => slack::BOT_TOKEN,
            "app_token" => slack::APP_TOKEN,
            other => panic!("no secret `{other}`"),
        });
        let reply = self.team.request(&slack::Request {
            method: request.method.clone(),
            target,
            authorization: token.map(|token| format!("Bearer {token}")),
            content_type: header("content-type"),
            body: match &request.body {
                Body::Bytes(bytes) => bytes.clone(),
                Body::File(_) => self.file.clone(),
                _ => Vec::new(),
            },
        });
        if reply.cut {
            return Err(Error::Ambiguous("the connection was cut".into()));
        }
        let most = self.answer_max.get();
        if reply.body.len() > most {
            return Err(Error::TooLarge(u32::try_from(most).expect("small")));
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
        let media_type = botyard_sdk::http::header(&response.headers, "content-type")
            .unwrap_or_default()
            .to_owned();
        let size_bytes = u32::try_from(response.body.len()).expect("small");
        Ok(Downloaded::File(FileRef {
            id: "f1".into(),
            name: name.into(),
            media_type,
            size_bytes,
        }))
    }

    fn save(&self, memory: &[u8]) -> Result<(), Error> {
        self.saved.replace(Some(memory.to_vec()));
        Ok(())
    }

    fn posted(&self, ts: &str) -> Result<(), Error> {
        self.posted.borrow_mut().push(ts.to_owned());
        Ok(())
    }

    fn now(&self) -> u32 {
        self.clock.get()
    }

    fn is_kept(&self, key: &str) -> bool {
        self.kept.borrow().iter().any(|kept| kept == key)
    }

    fn keep(&self, key: &str, _: u32) {
        self.kept.borrow_mut().push(key.to_owned());
    }

    fn me(&self) -> Option<String> {
        Some(slack::BOT_USER.into())
    }

    fn progress(&self) -> Progress {
        self.progress.get()
    }
}

pub(crate) fn channel(thread: Option<&str>) -> Conversation {
    Conversation {
        tenant: Some("T1".into()),
        channel: "C1".into(),
        thread: thread.map(str::to_owned),
        direct: false,
    }
}

#[test]
fn the_bot_knows_itself_and_others() {
    let api = fake();
    let bot = me(&api).expect("auth.test");
    assert_eq!(
        (bot.id.as_str(), bot.tenant.as_deref(), bot.bot),
        ("UBOT", Some("T1"), true)
    );
    let ann = who(&api, "U1").expect("users.info");
    assert_eq!(
        (ann.name.as_deref(), ann.locale.as_deref(), ann.bot),
        (Some("ann"), Some("en-US"), false)
    );
    assert_eq!(who(&api, "U9"), Err(Error::Gone("the person is not there".into())));
}

#[test]
fn a_missing_scope_is_advised_and_a_refused_token_is_a_finding() {
    let api = fake();
    api.wire.team.set_scopes(&["chat:write", "app_mentions:read"]);
    let findings = describe::check(&api, false).expect("auth.test");
    assert_eq!(
        findings[..4],
        [
            Finding {
                severity: Severity::Fine,
                subject: "bot_token".into(),
                advice: "it is botyard in Fake".into()
            },
            Finding {
                severity: Severity::Fine,
                subject: "scope chat:write".into(),
                advice: String::new()
            },
            Finding {
                severity: Severity::Fine,
                subject: "scope app_mentions:read".into(),
                advice: String::new()
            },
            Finding {
                severity: Severity::Error,
                subject: "scope im:history".into(),
                advice: "the bot does not hear direct messages: add it under OAuth & Permissions, Bot Token \
                         Scopes, and install the app again"
                    .into(),
            },
        ]
    );
    let commands = findings.iter().find(|finding| finding.subject == "scope commands");
    assert!(
        commands.is_some_and(|finding| finding.severity == Severity::Warning
            && finding
                .advice
                .starts_with("the slash command and the shortcuts are not there: ")),
        "{findings:?}"
    );
    api.wire.team.revoke();
    let findings = describe::check(&api, false).expect("a finding");
    assert!(
        findings[0].severity == Severity::Error && findings[0].advice.contains("token_revoked"),
        "{findings:?}"
    );
}

#[test]
fn socket_mode_that_cannot_work_is_a_finding() {
    let api = fake();
    let finding = |api: &Api<Fake>| {
        describe::check(api, true)
            .expect("findings")
            .pop()
            .expect("the app token")
    };
    assert_eq!(
        finding(&api),
        Finding {
            severity: Severity::Fine,
            subject: "app_token".into(),
            advice: "Socket Mode is on".into()
        }
    );
    api.wire.team.set_app_scope(false);
    assert_eq!(
        finding(&api).advice,
        "it lacks the scope connections:write: make one that has it on your app's page, Basic Information, \
         App-Level Tokens"
    );
    api.wire.team.set_app_scope(true);
    api.wire.team.set_socket_mode(false);
    assert_eq!(
        finding(&api).advice,
        "slack refuses Socket Mode (access_denied): switch it on on your app's page, Socket Mode"
    );
}

#[test]
fn files_are_fetched_with_the_token() {
    let api = fake();
    let source = api.wire.team.put_file("a.csv", b"a,b");
    let attachment = Attachment {
        name: "a.csv".into(),
        media_type: Some("text/csv".into()),
        size_bytes: Some(3),
        source,
    };
    let file = fetch(&api, &attachment).expect("a file");
    assert_eq!((file.name.as_str(), file.size_bytes), ("a.csv", 3));
    let by_id = Attachment {
        source: "id:F1".into(),
        ..attachment.clone()
    };
    assert_eq!(fetch(&api, &by_id).expect("a file").size_bytes, 3);
    // Slack's login page is no file.
    api.wire.team.revoke();
    assert!(matches!(fetch(&api, &attachment), Err(Error::Unauthorized(_))));
}

#[test]
fn what_was_said_before_comes_oldest_first() {
    let api = fake();
    let parent = api.wire.team.say("C1", "U1", "a &amp; b", None);
    api.wire.team.say("C1", "U2", "second", Some(&parent));
    let last = api.wire.team.say("C1", "U1", "third", Some(&parent));
    let said = before(&api, &channel(Some(&parent)), Some(&last), 10).expect("history");
    let read: Vec<_> = said
        .iter()
        .map(|said| (said.sender.id.as_str(), said.text.as_str()))
        .collect();
    assert_eq!(read, [("U1", "a & b"), ("U2", "second")]);
}

#[test]
fn of_a_thread_that_is_longer_than_a_page_the_last_replies_are_told() {
    let api = fake();
    let team = &api.wire.team;
    let parent = team.say("C1", "U1", "the question", None);
    for number in 1..=1_500 {
        team.say("C1", "U2", &format!("reply {number}"), Some(&parent));
    }
    let asked = team.say("C1", "U1", "<@UBOT> what of it?", Some(&parent));
    team.say("C1", "U2", "after it", Some(&parent));
    let told = |at_most| -> Vec<String> {
        let said = before(&api, &channel(Some(&parent)), Some(&asked), at_most).expect("history");
        said.into_iter().map(|said| said.text).collect()
    };
    assert_eq!(told(3), ["reply 1498", "reply 1499", "reply 1500"]);
    assert_eq!(team.called(), ["conversations.replies", "conversations.replies"]);
    // So many that the first page has some of them.
    let all = told(1_000);
    assert_eq!((all.len(), all[0].as_str()), (1_000, "reply 501"));
    // Replies that are more than the host takes at once come in smaller pages.
    for number in 1..=500 {
        team.say("C1", "U2", &format!("{number} {}", "x".repeat(20_000)), Some(&parent));
    }
    let last = team.say("C1", "U1", "<@UBOT> and now?", Some(&parent));
    let said = before(&api, &channel(Some(&parent)), Some(&last), 2).expect("history");
    let begins: Vec<&str> = said.iter().map(|said| &said.text[..4]).collect();
    assert_eq!(begins, ["499 ", "500 "]);
    // A channel's newest come first: one page is enough.
    let top = before(&api, &channel(None), None, 1).expect("history");
    assert_eq!(top.len(), 1);
    assert_eq!(top[0].text, "the question");
}

#[test]
fn of_a_thread_too_long_to_be_read_what_was_said_lately_is_told_or_nothing() {
    let api = fake();
    let team = &api.wire.team;
    let texts = |parent: &str, asked: &str, at_most| {
        before(&api, &channel(Some(parent)), Some(asked), at_most)
            .map(|said| said.into_iter().map(|said| said.text).collect::<Vec<_>>())
    };
    let calls = || api.wire.team.called().len();
    // Years ago.
    let old = "1500000000.000001".to_owned();
    team.say_at("C1", "U1", "the question", None, &old);
    for number in 1..=12_000 {
        let ts = format!("1500000001.{number:06}");
        team.say_at("C1", "U2", &format!("old {number}"), Some(&old), &ts);
    }
    for number in 1..=3 {
        team.say("C1", "U2", &format!("new {number}"), Some(&old));
    }
    let asked = team.say("C1", "U1", "<@UBOT> what of it?", Some(&old));
    assert_eq!(
        texts(&old, &asked, 3),
        Ok(vec!["new 1".into(), "new 2".into(), "new 3".into()])
    );
    assert_eq!(calls(), 1);
    // There is more, but it is out of reach.
    let reached = ["the question", "new 1", "new 2", "new 3"].map(str::to_owned);
    assert_eq!(texts(&old, &asked, 5), Ok(reached.into()));
    assert_eq!(calls(), 1 + 1 + 10);
    // An old thread that is short is told as it is.
    let short = "1600000000.000001".to_owned();
    team.say_at("C1", "U1", "another", None, &short);
    for number in 1..=4 {
        let ts = format!("1600000001.{number:06}");
        team.say_at("C1", "U2", &format!("old {number}"), Some(&short), &ts);
    }
    let last = team.say("C1", "U1", "<@UBOT> and this?", Some(&short));
    assert_eq!(texts(&short, &last, 2), Ok(vec!["old 3".into(), "old 4".into()]));
    // All of it is new: nobody can tell what was said last, and what was said first is not that.
    let parent = team.say("C1", "U1", "the hot one", None);
    for number in 1..=10_000 {
        team.say("C1", "U2", &format!("hot {number}"), Some(&parent));
    }
    let asked = team.say("C1", "U1", "<@UBOT> now?", Some(&parent));
    let error = Error::Unavailable("the thread is too long to be read to its end".into());
    assert_eq!(texts(&parent, &asked, 3), Err(error));
}

#[test]
fn pages_that_were_too_large_to_come_are_not_counted() {
    let api = fake();
    let team = &api.wire.team;
    let parent = team.say("C1", "U1", "the question", None);
    for number in 1..=4 {
        team.say("C1", "U2", &format!("{number} {}", "x".repeat(2_000)), Some(&parent));
    }
    let asked = team.say("C1", "U1", "<@UBOT> well?", Some(&parent));
    // One of them at a time: nine answers are too large before that.
    api.wire.answer_max.set(4_000);
    let said = before(&api, &channel(Some(&parent)), Some(&asked), 2).expect("history");
    let begins: Vec<&str> = said.iter().map(|said| &said.text[..2]).collect();
    assert_eq!(begins, ["3 ", "4 "]);
    assert_eq!(team.called().len(), 9 + 5);
}

#[test]
fn what_programs_said_before_is_told_with_their_names_and_files() {
    let said = |value| said_of(&value).expect("it was said");
    let files = [
        json!({ "id": "F1", "name": "log.txt" }),
        json!({ "id": "F2", "name": "graph.png" }),
    ];
    let alert = said(json!({
        "ts": "1700000001.000100", "subtype": "bot_message", "bot_id": "B7", "username": "Deploys", "text": "it is down",
        "files": files,
    }));
    let mut sender = crate::event::person("B7", None);
    sender.name = Some("Deploys".into());
    sender.bot = true;
    let expected = Said {
        id: "1700000001.000100".into(),
        sender,
        text: "it is down".into(),
        sent: 1_700_000_001,
        attachments: crate::event::attachments(&files),
    };
    assert_eq!(alert, expected);
    let attached = json!([{ "title": "Disk full", "files": [{ "id": "F3", "name": "df.txt" }] }]);
    let alert = said(json!({ "ts": "1.000100", "bot_id": "B7", "text": "", "attachments": attached }));
    assert_eq!(
        (alert.text.as_str(), alert.attachments[0].name.as_str()),
        ("> Disk full", "df.txt")
    );
    let old = said(json!({ "ts": "1.000100", "username": "Cron", "text": "it is noon" }));
    assert_eq!((old.sender.name.as_deref(), old.sender.bot), (Some("Cron"), true));
    for nothing in [
        json!({ "ts": "1.000100", "user": "U1", "text": "" }),
        json!({ "ts": "1.000100", "text": "by nobody" }),
        json!({ "user": "U1", "text": "at no time" }),
    ] {
        assert_eq!(said_of(&nothing), None, "{nothing}");
    }
}

#[test]
fn errors_say_what_can_be_done() {
    use botyard_fakes::slack::Trouble;
    let api = fake();
    let meant = |trouble: Trouble| {
        api.wire.team.trouble(None, trouble);
        api.user("U1").map_err(|failure| (failure.error, failure.unclear))
    };
    assert_eq!(
        meant(Trouble::RateLimited { seconds: 7 }),
        Err((Error::RateLimited(Some(7000)), false))
    );
    assert_eq!(
        meant(Trouble::Status(503)),
        Err((Error::Unavailable("status 503".into()), true))
    );
    let named = |name: &str| meant(Trouble::Error(name.into())).expect_err("an error");
    assert_eq!(named("is_archived").0, Error::Gone("the channel is archived".into()));
    assert_eq!(
        named("token_revoked").0,
        Error::Unauthorized("slack refuses the bot token: token_revoked".into())
    );
    assert_eq!(named("msg_too_long").0, Error::TooLarge(11_000));
    assert_eq!(
        named("fatal_error"),
        (Error::Unavailable("slack says fatal_error".into()), true)
    );
    assert_eq!(
        named("invalid_blocks").0,
        Error::Rejected("slack says invalid_blocks".into())
    );
}

#[test]
fn the_manifest_serves_one_url_for_all_and_keeps_the_secret_at_home() {
    use botyard_sdk::manifest::Transport;
    let about = describe::about();
    let Transport::Webhook(routes) = &about.modes[0].transports[0] else {
        panic!("webhook first")
    };
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["", "events", "interactive", "command"]);
    assert_eq!(about.secrets[0].targets, ["/", "https://files.slack.com/"]);
    let signing = about.secrets.iter().find(|secret| secret.name == "signing_secret");
    assert!(signing.is_some_and(|secret| secret.slots.is_empty()));
    assert_eq!(json!(about.limits.update_interval_ms), 1200);
}
