//! The fake as the host, and calls of the account.

use std::cell::{Cell, RefCell};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use botyard_fakes::feishu::{self, ANN, APP_ID, APP_SECRET, BEN, BOT, DIRECT, GROUP, Tenant, Trouble};
use botyard_sdk::account::{Finding, Severity};
use botyard_sdk::raw_http::{Body, Content};
use botyard_sdk::serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::*;

/// A host that passes requests to a company in memory, with the token that it minted.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) tenant: Tenant,
    pub(crate) saved: RefCell<Option<Vec<u8>>>,
    pub(crate) posted: RefCell<Vec<String>>,
    pub(crate) held: RefCell<Vec<(String, u32)>>,
    pub(crate) kept: RefCell<Vec<(String, Vec<u8>)>>,
    pub(crate) clock: Cell<u32>,
    /// Bytes of the host's files.
    pub(crate) file: Vec<u8>,
}

pub(crate) fn fake() -> Api<Fake> {
    let tenant = Tenant::new();
    // No host is here to keep to the rates.
    tenant.unpaced();
    Api {
        wire: Fake {
            tenant,
            saved: RefCell::default(),
            posted: RefCell::default(),
            held: RefCell::default(),
            kept: RefCell::default(),
            clock: Cell::new(1_800_000_000),
            file: b"\x89PNG and more".to_vec(),
        },
    }
}

impl Fake {
    fn token(&self) -> String {
        let reply = self.tenant.request(&feishu::Request {
            method: "POST".into(),
            target: "/open-apis/auth/v3/tenant_access_token/internal".into(),
            body: json!({ "app_id": APP_ID, "app_secret": APP_SECRET })
                .to_string()
                .into_bytes(),
            ..feishu::Request::default()
        });
        let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
        answer["tenant_access_token"].as_str().unwrap_or_default().to_owned()
    }

    fn pass(&self, request: &Request) -> Result<Response, Error> {
        assert!(request.url.starts_with('/'), "{} is below the api-base", request.url);
        let minted = request.secrets.iter().any(|placed| placed.secret == "tenant");
        let (content_type, body) = match &request.body {
            Body::Bytes(bytes) => (http_header(request, "content-type"), bytes.clone()),
            Body::Multipart(parts) => {
                let mut body = Vec::new();
                for part in parts {
                    let filename = part
                        .filename
                        .as_ref()
                        .map_or(String::new(), |name| format!("; filename=\"{name}\""));
                    let head = format!(
                        "--b\r\nContent-Disposition: form-data; name=\"{}\"{filename}\r\n\r\n",
                        part.name
                    );
                    body.extend_from_slice(head.as_bytes());
                    match &part.content {
                        Content::Bytes(bytes) => body.extend_from_slice(bytes),
                        Content::File(_) => body.extend_from_slice(&self.file),
                    }
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(b"--b--\r\n");
                (Some("multipart/form-data; boundary=b".into()), body)
            }
            Body::Empty | Body::File(_) => (None, Vec::new()),
        };
        let reply = self.tenant.request(&feishu::Request {
            method: request.method.clone(),
            target: request.url.clone(),
            authorization: minted.then(|| format!("Bearer {}", self.token())),
            content_type,
            body,
        });
        if reply.cut {
            return Err(Error::Unavailable("the connection was cut".into()));
        }
        Ok(Response {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
        })
    }
}

fn http_header(request: &Request, name: &str) -> Option<String> {
    botyard_sdk::http::header(&request.headers, name).map(str::to_owned)
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
        Ok(Downloaded::File(file(name, "application/octet-stream", &response.body)))
    }

    fn hold(&self, bucket: &str, for_ms: u32) {
        self.held.borrow_mut().push((bucket.to_owned(), for_ms));
    }

    fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<FileRef, Error> {
        self.kept.borrow_mut().push((name.to_owned(), bytes.to_vec()));
        Ok(file(name, media_type, bytes))
    }

    fn save(&self, memory: &[u8]) -> Result<(), Error> {
        assert!(
            memory.len() <= 32 << 10,
            "{} bytes are more than the host keeps",
            memory.len()
        );
        self.saved.replace(Some(memory.to_vec()));
        Ok(())
    }

    fn posted(&self, message: &str) -> Result<(), Error> {
        self.posted.borrow_mut().push(message.to_owned());
        Ok(())
    }

    fn now(&self) -> u32 {
        self.clock.get()
    }
}

pub(crate) fn file(name: &str, media_type: &str, bytes: &[u8]) -> FileRef {
    FileRef {
        id: format!("f-{name}"),
        name: name.into(),
        media_type: media_type.into(),
        size_bytes: u32::try_from(bytes.len()).expect("small"),
    }
}

/// The secrets that the operator set.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) encrypt_key: Option<String>,
    pub(crate) verification_token: Option<String>,
}

impl Secrets {
    fn of(&self, name: &str) -> Result<&str, Error> {
        let found = match name {
            "encrypt_key" => &self.encrypt_key,
            "verification_token" => &self.verification_token,
            _ => &None,
        };
        found
            .as_deref()
            .ok_or_else(|| Error::Unauthorized(format!("`{name}` is not set")))
    }
}

impl Vault for Secrets {
    fn hash(&self, digest: Digest, pieces: &[Piece]) -> Result<Vec<u8>, Error> {
        let mut joined = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => joined.extend_from_slice(bytes),
                Piece::Secret(name) => joined.extend_from_slice(self.of(name)?.as_bytes()),
            }
        }
        Ok(match digest {
            Digest::Sha1 => Sha1::digest(joined).to_vec(),
            Digest::Sha256 => Sha256::digest(joined).to_vec(),
            other => panic!("{other:?} is none of Feishu's"),
        })
    }

    fn matches(&self, secret: &str, candidate: &str) -> Result<bool, Error> {
        Ok(self.of(secret)? == candidate)
    }

    fn decrypt(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        let wrong = |_| Error::Malformed("it cannot be decrypted".into());
        let key: [u8; 32] = Sha256::digest(self.of("encrypt_key")?).into();
        let (vector, rest) = data
            .split_at_checked(16)
            .ok_or_else(|| Error::Malformed("too short".into()))?;
        let vector: [u8; 16] = vector.try_into().expect("16 bytes");
        let cipher = cbc::Decryptor::<aes::Aes256>::new(&key.into(), &vector.into());
        let mut room = rest.to_vec();
        let plain = cipher.decrypt_padded::<Pkcs7>(&mut room).map_err(|_| wrong(()))?;
        Ok(plain.to_vec())
    }
}

pub(crate) fn group(thread: Option<&str>) -> Conversation {
    Conversation {
        tenant: Some(feishu::TENANT.into()),
        channel: GROUP.into(),
        thread: thread.map(str::to_owned),
        direct: false,
    }
}

pub(crate) fn direct() -> Conversation {
    Conversation {
        channel: DIRECT.into(),
        direct: true,
        ..group(None)
    }
}

#[test]
fn the_bot_knows_itself_and_others() {
    let api = fake();
    let bot = account::me(&api).expect("bot/v3/info");
    assert_eq!(
        (bot.id.as_str(), bot.name.as_deref(), bot.bot),
        (BOT, Some("botyard"), true)
    );
    let name = |id: &str| account::who(&api, id, &group(None)).map(|person| person.name);
    assert_eq!(name(ANN), Ok(Some("安妮".into())));
    assert_eq!(name("ou_nobody"), Err(Error::Gone("the person is not known".into())));
    // Without the right to read contacts, the group's members tell.
    api.wire.tenant.revoke("contact:user.base:readonly");
    assert_eq!(name(BEN), Ok(Some("Ben".into())));
    let contacts = "GET /open-apis/contact/v3/users/";
    api.wire
        .tenant
        .trouble(Some(contacts), Trouble::RateLimited { seconds: 3 });
    assert_eq!(name(BEN), Err(Error::RateLimited(Some(3000))));
}

#[test]
fn a_missing_scope_is_advised_and_refused_credentials_are_a_finding() {
    let api = fake();
    api.wire.tenant.revoke("cardkit:card:write");
    let findings = account::check(&api).expect("findings");
    let wrong: Vec<(&str, &str)> = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Fine)
        .map(|finding| (finding.subject.as_str(), finding.advice.as_str()))
        .collect();
    assert_eq!(
        wrong,
        [(
            "scope cardkit:card:write",
            "answers are not typed out but appear in steps: add it under Permissions & Scopes and publish a version"
        )]
    );
    assert_eq!(findings[0].advice, "it is botyard");
    let info = "GET /open-apis/bot/v3/info";
    api.wire.tenant.trouble(Some(info), Trouble::Code(99_991_663));
    let findings = account::check(&api).expect("a finding");
    assert!(
        findings[0].severity == Severity::Error && findings[0].advice.contains("copy App ID"),
        "{findings:?}"
    );
}

#[test]
fn what_is_not_subscribed_is_advised() {
    let api = fake();
    let wrong = |api: &Api<Fake>| -> Vec<(String, String)> {
        let findings = account::check(api).expect("findings").into_iter();
        let wrong = findings.filter(|finding| finding.severity != Severity::Fine);
        wrong.map(|finding| (finding.subject, finding.advice)).collect()
    };
    let pair = |subject: &str, advice: &str| (subject.to_owned(), advice.to_owned());
    assert_eq!(wrong(&api), []);
    api.wire.tenant.unsubscribe("im.message.recalled_v1");
    api.wire.tenant.unsubscribe("card.action.trigger");
    assert_eq!(
        wrong(&api),
        [
            pair(
                "event im.message.recalled_v1",
                "a recalled question is answered all the same: add it under Events & Callbacks and publish a version"
            ),
            pair(
                "callback card.action.trigger",
                "buttons do nothing: add it under Events & Callbacks, Callbacks, and publish a version"
            ),
        ]
    );
}

#[test]
fn what_feishu_does_not_let_look_up_is_said() {
    let api = fake();
    let told = |findings: Vec<Finding>| -> Vec<(Severity, String, String)> {
        let told = findings
            .into_iter()
            .filter(|finding| finding.advice.contains("looked up ("));
        told.map(|finding| (finding.severity, finding.subject, finding.advice))
            .collect()
    };
    api.wire.tenant.revoke("application:application:self_manage");
    let scopes = "GET /open-apis/application/v6/scopes";
    api.wire.tenant.trouble(Some(scopes), Trouble::Code(99_991_672));
    assert_eq!(
        told(account::check(&api).expect("findings")),
        [
            (
                Severity::Warning,
                "scopes".to_owned(),
                "could not be looked up (feishu says 99991672): compare what stands under Permissions & Scopes with the \
                 list in the README"
                    .to_owned()
            ),
            (
                Severity::Warning,
                "events and callbacks".to_owned(),
                "could not be looked up (feishu says 99991672): add the scope application:application:self_manage and \
                 publish a version, or look under Events & Callbacks yourself"
                    .to_owned()
            ),
        ]
    );
    api.wire.tenant.trouble(Some(scopes), Trouble::Status(503));
    assert!(matches!(account::check(&api), Err(Error::Unavailable(_))));
}

#[test]
fn what_is_answered_is_brought_with_who_said_it() {
    let api = fake();
    let tenant = &api.wire.tenant;
    let brought = |id: &str| {
        let file = account::fetch(&api, &content::quote(id, Some(APP_ID)))?;
        let text = api
            .wire
            .kept
            .take()
            .pop()
            .map(|(_, bytes)| String::from_utf8(bytes).expect("text"));
        Ok::<_, Error>((file.name, text.unwrap_or_default()))
    };
    let text = |words: &str| Ok(("quoted-message.md".to_owned(), words.to_owned()));
    let said = tenant.write(GROUP, BEN, "the disk\nis full");
    assert_eq!(brought(&said.id), text("**Ben**: the disk\nis full\n"));
    // A card as it was sent, of the bot's own and of another program's.
    let card = json!({
        "schema": "2.0", "header": { "title": { "tag": "plain_text", "content": "Disk full" } },
        "body": { "elements": [{ "tag": "markdown", "content": "on **db1**" }] },
    });
    let own = tenant.say(GROUP, APP_ID, "interactive", &card, None);
    assert_eq!(brought(&own.id), text("**you**: Disk full\non **db1**\n"));
    let history = account::before(&api, &group(None), None, 1).expect("history");
    assert_eq!(history[0].text, "Disk full\non **db1**");
    // A picture alone is what is asked about.
    let picture = tenant.say(GROUP, BEN, "image", &json!({}), None);
    let key = tenant.put_file(&picture.id, "a.png", b"\x89PNG", true);
    let picture = tenant.say(GROUP, BEN, "image", &json!({ "image_key": key }), None);
    assert!(
        matches!(brought(&picture.id), Err(Error::Rejected(_))),
        "of another message"
    );
    let key = tenant.put_file(&picture.id, "b.png", b"\x89PNG", true);
    tenant.change(&picture.id, &json!({ "image_key": key }));
    assert_eq!(brought(&picture.id), Ok(("image.png".to_owned(), String::new())));
    let forwarded = tenant.say(
        GROUP,
        BEN,
        "merge_forward",
        &json!({ "forwarded": [said.id, own.id] }),
        None,
    );
    let both = format!("**{BEN}**: the disk\nis full\n\n**{APP_ID}**: Disk full\non **db1**");
    assert_eq!(brought(&forwarded.id), text(&format!("**Ben**: {both}\n")));
    let sent = tenant.message_event(&forwarded)["event"]["message"]["content"].clone();
    let file = content::read(
        &forwarded.id,
        "merge_forward",
        sent.as_str().unwrap_or_default(),
        &Value::Null,
        None,
    );
    account::fetch(&api, &file.attachments[0]).expect("a file");
    assert_eq!(
        api.wire.kept.take(),
        [("forwarded.md".to_owned(), format!("{both}\n\n").into_bytes())]
    );
    tenant.recall(&said.id);
    assert!(
        matches!(brought(&said.id), Err(Error::Gone(_))),
        "{:?}",
        brought(&said.id)
    );
}

#[test]
fn files_of_a_message_are_fetched() {
    let api = fake();
    let tenant = &api.wire.tenant;
    let message = tenant.say(DIRECT, ANN, "file", &json!({}), None);
    let key = tenant.put_file(&message.id, "a.csv", b"a,b", false);
    let attachment = |source: String| Attachment {
        name: "a.csv".into(),
        media_type: None,
        size_bytes: None,
        source,
    };
    let found = account::fetch(&api, &attachment(format!("file:{}:{key}", message.id))).expect("a file");
    assert_eq!((found.name.as_str(), found.size_bytes), ("a.csv", 3));
    let other = tenant.write(DIRECT, ANN, "another");
    let lost = account::fetch(&api, &attachment(format!("file:{}:{key}", other.id)));
    assert!(matches!(lost, Err(Error::Rejected(_))), "{lost:?}");
    assert!(matches!(
        account::fetch(&api, &attachment("nonsense".into())),
        Err(Error::Rejected(_))
    ));
}

#[test]
fn what_was_said_before_comes_oldest_first() {
    let api = fake();
    let tenant = &api.wire.tenant;
    tenant.write(GROUP, ANN, "first @_user_3");
    let second = tenant.write(GROUP, BEN, "second");
    tenant.recall(&tenant.write(GROUP, BEN, "taken back").id);
    let last = tenant.write(GROUP, ANN, "last");
    tenant.write(GROUP, ANN, "after it");
    let read = |conversation: &Conversation, message: Option<&str>| -> Vec<(String, String)> {
        let said = account::before(&api, conversation, message, 10).expect("history");
        said.into_iter().map(|said| (said.sender.id, said.text)).collect()
    };
    let pair = |who: &str, text: &str| (who.to_owned(), text.to_owned());
    assert_eq!(
        read(&group(None), Some(&last.id)),
        [pair(ANN, &format!("first <@{BEN}>")), pair(BEN, "second")]
    );
    // A thread is asked for by its own id, which its first message tells.
    let answer = tenant.say(
        GROUP,
        ANN,
        "text",
        &json!({ "text": "in it" }),
        Some((&second.id, true)),
    );
    assert_eq!(
        read(&group(Some(&second.id)), None),
        [pair(BEN, "second"), pair(ANN, "in it")]
    );
    assert_eq!(read(&group(Some(&second.id)), Some(&answer.id)), [pair(BEN, "second")]);
}

#[test]
fn answer_counts_against_its_chat() {
    let api = fake();
    let question = api.wire.tenant.write(GROUP, ANN, "hello").id;
    let path = format!("POST /open-apis/im/v1/messages/{question}/reply");
    api.wire.tenant.trouble(Some(&path), Trouble::Code(230_020));
    let reply = api::Reply {
        message: &question,
        in_thread: false,
        chat: Some(GROUP),
    };
    let refused = api.post(api::To::Reply(reply), "text", &json!({ "text": "x" }), "u");
    assert_eq!(refused.expect_err("trouble").error, Error::RateLimited(Some(1000)));
    assert_eq!(api.wire.held.take(), [(format!("chat:{GROUP}"), 1000)]);
}

#[test]
fn errors_say_what_can_be_done() {
    let api = fake();
    let meant = |trouble: Trouble| {
        api.wire.tenant.trouble(Some("POST /open-apis/im/v1/messages"), trouble);
        let to = api::To::Chat(GROUP);
        let content = json!({ "text": "x" });
        api.post(to, "text", &content, "u").expect_err("trouble").error
    };
    assert_eq!(
        meant(Trouble::RateLimited { seconds: 7 }),
        Error::RateLimited(Some(7000))
    );
    assert_eq!(
        api.wire.held.take(),
        [
            ("im".to_owned(), 7000),
            ("im.second".to_owned(), 7000),
            (format!("chat:{GROUP}"), 7000)
        ]
    );
    assert_eq!(meant(Trouble::Code(230_020)), Error::RateLimited(Some(1000)));
    assert_eq!(
        api.wire.held.take(),
        [(format!("chat:{GROUP}"), 1000)],
        "other chats go on"
    );
    assert_eq!(meant(Trouble::Code(99_991_400)), Error::RateLimited(Some(1000)));
    assert_eq!(meant(Trouble::Code(11_232)), Error::RateLimited(Some(12_000)));
    assert_eq!(meant(Trouble::Status(503)), Error::Unavailable("feishu says 0".into()));
    assert!(matches!(meant(Trouble::Code(230_002)), Error::Gone(_)));
    assert!(matches!(meant(Trouble::Code(99_991_672)), Error::Unauthorized(_)));
    assert!(matches!(meant(Trouble::Code(230_025)), Error::TooLarge(_)));
    assert!(matches!(meant(Trouble::Code(230_001)), Error::Rejected(_)));
}

#[test]
fn the_manifest_keeps_secrets_at_home_and_starts_with_the_connection() {
    use botyard_sdk::manifest::Transport;
    let about = describe::about();
    assert_eq!(about.modes[0].name, "connection");
    assert!(matches!(about.modes[0].transports[..], [Transport::Link]));
    let Transport::Webhook(routes) = &about.modes[1].transports[0] else {
        panic!("webhook second")
    };
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["", "events", "cards"]);
    for secret in &about.secrets[..2] {
        assert_eq!(
            secret.targets,
            [
                "/callback/ws/endpoint",
                "/open-apis/auth/v3/tenant_access_token/internal"
            ]
        );
    }
    assert!(
        about.secrets[2..]
            .iter()
            .all(|secret| secret.slots.is_empty() && secret.targets.is_empty())
    );
}
