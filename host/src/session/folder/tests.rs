use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{AgentProfile, DriverKind, Limits, SecretText};
use crate::session::Bounds;
use crate::session::question::Shows;

fn said(channel: &str, thread: Option<&str>, direct: bool) -> Conversation {
    Conversation {
        tenant: Some("T1".to_owned()),
        channel: channel.to_owned(),
        thread: thread.map(str::to_owned),
        direct,
    }
}

fn of(scope: Scope, conversation: &Conversation, person: &str) -> SessionKey {
    key(&BotName::from("team"), scope, conversation, person)
}

fn row(key: &SessionKey, epoch: u32) -> SessionRow {
    let begun = SessionRow::begin(key.clone(), "team".into(), "claude".into(), said("C", None, false));
    SessionRow { epoch, ..begun }
}

fn rules(login: Login, workspace_shared: bool) -> SessionRules {
    SessionRules {
        bot: BotName::from("team"),
        scope: Scope::User,
        agent: Arc::new(AgentProfile {
            name: "claude".to_owned(),
            driver: DriverKind::Claude,
            command: vec!["/bin/claude".to_owned()],
            model: None,
            permission_mode: "default".to_owned(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            instructions: None,
            env: BTreeMap::new(),
            login,
            start_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            limits: Limits::of(DriverKind::Claude),
            history: false,
            spare: false,
            demo: false,
        }),
        further: Vec::new(),
        workspace: PathBuf::from("/work-of-bot"),
        workspace_shared,
        data_dir: PathBuf::from("/data"),
        queue_limit: 3,
        ask_timeout: Duration::from_secs(1),
        shows: Shows::ALL,
        show_thinking: false,
        show_usage: true,
        files_dir: PathBuf::from("/data/files/team"),
        bounds: Bounds {
            upload_max_bytes: Some(100),
            files_max_bytes: 1000,
        },
        ended: None,
    }
}

#[test]
fn what_was_said_in_private_never_enters_a_channel() {
    let private = of(Scope::User, &said("D1", None, true), "U1");
    assert_eq!(
        private,
        of(Scope::User, &said("D2", Some("t"), true), "U1"),
        "one person, one memory"
    );
    let channel = of(Scope::User, &said("C1", None, false), "U1");
    assert_ne!(private, channel);
    assert_eq!(channel, of(Scope::User, &said("C1", Some("t"), false), "U1"));
    assert_ne!(channel, of(Scope::User, &said("C2", None, false), "U1"));
    assert_ne!(private, of(Scope::User, &said("D1", None, true), "U2"));
    assert_ne!(
        private,
        key(&BotName::from("other"), Scope::User, &said("D1", None, true), "U1")
    );
}

#[test]
fn scope_says_whose_session_it_is() {
    let (one, two) = (said("C1", Some("a"), false), said("C1", Some("b"), false));
    assert_ne!(of(Scope::Thread, &one, "U1"), of(Scope::Thread, &two, "U1"));
    assert_eq!(of(Scope::Thread, &one, "U1"), of(Scope::Thread, &one, "U2"));
    assert_eq!(of(Scope::Channel, &one, "U1"), of(Scope::Channel, &two, "U2"));
    assert_ne!(
        of(Scope::Thread, &said("C1", None, false), "U1"),
        of(Scope::Thread, &one, "U1")
    );
    // Parts that run together are not the same parts.
    let (x, y) = (said("C", Some("1a"), false), said("C1", Some("a"), false));
    assert_ne!(of(Scope::Thread, &x, "U1"), of(Scope::Thread, &y, "U1"));
}

#[test]
fn agents_of_one_conversation_are_told_apart_and_share_no_folder() {
    let base = of(Scope::Thread, &said("C1", Some("1.5"), false), "U1");
    let other = key_of_agent(&base, "code_reviewer");
    assert_eq!(parts(&base), (base.as_str(), None));
    assert_eq!(parts(&other), (base.as_str(), Some("code_reviewer")));
    for shared in [false, true] {
        let rules = rules(Login::None, shared);
        let (one, two) = (
            Folders::of(&rules, &row(&base, 0)),
            Folders::of(&rules, &row(&other, 0)),
        );
        assert_ne!(one.outbox, two.outbox);
        assert_ne!(one.temp, two.temp);
        assert_eq!(one.workspace == two.workspace, shared);
    }
    let workspace = Folders::of(&rules(Login::None, false), &row(&other, 0)).workspace;
    assert!(
        workspace.display().to_string().contains("/c1-codereviewer-"),
        "{workspace:?}"
    );
}

#[test]
fn hostile_ids_stay_below_their_folders() {
    let long = "x".repeat(10_000);
    let hostile = [
        "../../etc",
        "..",
        "/",
        "a\0b",
        "",
        "\u{202e}evil",
        "con/../..",
        long.as_str(),
    ];
    let mut seen = BTreeSet::new();
    for id in hostile {
        for scope in [Scope::User, Scope::Thread, Scope::Channel] {
            let key = of(scope, &said(id, Some(id), false), id);
            assert!(key.as_str().len() <= 120 && key.as_str().is_ascii());
            let folders = Folders::of(&rules(Login::None, false), &row(&key, 0));
            let (config, temp) = (folders.config.unwrap(), folders.temp);
            for (path, root, depth) in [
                (&folders.workspace, "/work-of-bot", 1),
                (&config, "/data/users/team", 2),
                (&temp, "/data/tmp", 1),
            ] {
                let below = path.strip_prefix(root).unwrap();
                let parts: Vec<_> = below.components().collect();
                assert_eq!(parts.len(), depth, "{path:?}");
                assert!(
                    parts.iter().all(|part| matches!(part, std::path::Component::Normal(_))),
                    "{path:?}"
                );
                assert!(path.to_str().unwrap().len() < 100);
            }
            assert!(seen.insert(folders.workspace), "no two share a folder");
        }
    }
}

#[test]
fn folders_are_apart_unless_the_operator_shares_them() {
    let (a, b) = (SessionKey::from("team/user/a-1"), SessionKey::from("team/user/b-2"));
    let apart = rules(Login::ApiKey(SecretText::new("k")), false);
    let folders = Folders::of(&apart, &row(&a, 0));
    assert_ne!(folders, Folders::of(&apart, &row(&b, 0)));
    assert_ne!(
        folders.workspace,
        Folders::of(&apart, &row(&a, 1)).workspace,
        "`new` begins in an empty folder"
    );
    assert_eq!(folders.config, Folders::of(&apart, &row(&a, 1)).config);
    let shared = rules(Login::Operator, true);
    let folders = Folders::of(&shared, &row(&a, 3));
    assert_eq!(
        (folders.workspace, folders.config),
        (PathBuf::from("/work-of-bot"), None)
    );
}

#[test]
fn folders_that_were_a_processs_stay_the_sessions_and_are_no_others() {
    let key = SessionKey::from("team/user/a-1");
    let rules = rules(Login::ApiKey(SecretText::new("k")), false);
    let of = |home: Option<&str>, epoch| {
        let home = home.map(str::to_owned);
        Folders::of(
            &rules,
            &SessionRow {
                home,
                ..row(&key, epoch)
            },
        )
    };
    let (warm, later) = (of(Some("wab12"), 0), of(Some("wab12"), 1));
    assert_eq!(warm, Folders::of_home(&rules, "wab12", 0));
    assert_eq!(
        (&warm.config, &warm.temp),
        (&later.config, &later.temp),
        "what the agent learnt"
    );
    assert_eq!(warm.workspace, PathBuf::from("/work-of-bot/wab12"));
    assert_eq!(later.workspace, PathBuf::from("/work-of-bot/wab12-1"));
    let own = of(None, 0);
    assert!(own.config != warm.config && own.temp != warm.temp && own.workspace != warm.workspace);
}
