use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::chat::BotName;
use crate::config::{Scope, WhileRunning};

fn config(allow: &[&str], approvers: &[&str]) -> BotConfig {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    BotConfig {
        name: BotName::from("team"),
        adapter: "web".into(),
        mode: None,
        agent: "claude".into(),
        agents: Vec::new(),
        routes: Vec::new(),
        scope: Scope::Thread,
        workspace: "work".into(),
        workspace_shared: false,
        allow: words(allow),
        allow_bots: Vec::new(),
        bot_turns: 10,
        approvers: words(approvers),
        asker_approves: true,
        refuse: Refuse::Politely,
        contact: None,
        listen_to_all: false,
        api_base: None,
        secrets: BTreeMap::new(),
        settings: BTreeMap::new(),
        grant_hosts: Vec::new(),
        while_running: WhileRunning::Queue,
        queue_limit: 10,
        per_user_per_minute: None,
        ask_timeout: Duration::from_secs(60),
        memory_bytes: 1 << 26,
        call_timeout: Duration::from_secs(1),
        show_thinking: false,
        show_usage: true,
        files_max_bytes: 1 << 20,
        history: 0,
        files_kept_bytes: 1 << 30,
    }
}

fn person(id: &str) -> Person {
    Person {
        id: id.into(),
        name: None,
        handle: None,
        tenant: None,
        groups: vec!["dev".into(), "all".into()],
        locale: None,
        bot: false,
    }
}

fn room(tenant: Option<&str>) -> Conversation {
    Conversation {
        tenant: tenant.map(Into::into),
        channel: "C1".into(),
        thread: None,
        direct: false,
    }
}

fn lets_in(allow: &[&str], person: &Person, tenant: Option<&str>) -> bool {
    admit(&config(allow, &[]), person, &room(tenant)) == Admission::Allowed
}

#[test]
fn who_is_named_is_let_in_and_nobody_else() {
    let ann = person("U1");
    let cases: [(&[&str], bool); 11] = [
        (&[], false),
        (&[""], false),
        (&["U1"], true),
        (&["U2", "U1"], true),
        (&["U"], false),
        (&["u1"], false),
        (&["*"], true),
        (&["group:dev"], true),
        (&["dev"], false),
        (&["group:ops"], false),
        (&["tenant:T1"], true),
    ];
    for (allow, expected) in cases {
        assert_eq!(lets_in(allow, &ann, Some("T1")), expected, "{allow:?}");
    }
    assert!(!lets_in(&["tenant:T1"], &ann, None));
    assert!(!lets_in(&["tenant:"], &ann, None));
    let guest = Person {
        tenant: Some("T2".into()),
        ..person("U1")
    };
    assert!(
        !lets_in(&["tenant:T1"], &guest, Some("T1")),
        "a guest is of another tenant than the room"
    );
    let nameless = person("");
    assert!(!lets_in(&[""], &nameless, None));
}

#[test]
fn another_bot_is_let_in_only_by_its_own_id() {
    let robot = Person {
        bot: true,
        tenant: Some("T1".into()),
        ..person("B1")
    };
    let refused = Admission::Refused { say: false };
    let everybody = config(&["*", "group:dev", "tenant:T1", "B1"], &[]);
    assert_eq!(admit(&everybody, &robot, &room(Some("T1"))), refused);
    let named = BotConfig {
        allow: Vec::new(),
        allow_bots: vec!["B1".into()],
        ..everybody
    };
    assert_eq!(admit(&named, &robot, &room(None)), Admission::Allowed);
    let other = Person {
        id: "B2".into(),
        ..robot
    };
    assert_eq!(admit(&named, &other, &room(None)), refused);
    // Some events do not say that it is a bot.
    assert_eq!(admit(&named, &person("B1"), &room(None)), Admission::Allowed);
    let mut alone = BotConfig {
        adapter: "slack".into(),
        ..config(&["U1"], &[])
    };
    assert!(alone.serves_only_its_operator());
    alone.allow_bots = vec!["B1".into()];
    assert!(!alone.serves_only_its_operator());
}

#[test]
fn a_refusal_is_said_as_configured() {
    let polite = config(&["U2"], &[]);
    assert_eq!(
        admit(&polite, &person("U1"), &room(None)),
        Admission::Refused { say: true }
    );
    let silent = BotConfig {
        refuse: Refuse::Silently,
        ..polite
    };
    assert_eq!(
        admit(&silent, &person("U1"), &room(None)),
        Admission::Refused { say: false }
    );
}

#[test]
fn the_asker_and_the_approvers_decide() {
    let own = config(&["*"], &["U2", "group:ops"]);
    let decides = |config: &BotConfig, id: &str| may_decide(config, "U1", &person(id));
    assert_eq!(["U1", "U2", "U3"].map(|id| decides(&own, id)), [true, true, false]);
    let others = BotConfig {
        asker_approves: false,
        ..own
    };
    assert_eq!(["U1", "U2", "U3"].map(|id| decides(&others, id)), [false, true, false]);
    let operator = Person {
        groups: vec!["ops".into()],
        ..person("U9")
    };
    assert!(may_decide(&others, "U1", &operator));
    // An asker who is not known is nobody.
    assert!(!may_decide(&config(&["*"], &[]), "", &person("")));
    let robot = Person {
        bot: true,
        ..person("U1")
    };
    assert!(!may_decide(&config(&["*"], &["*", "U1"]), "U1", &robot));
    let named = BotConfig {
        allow_bots: vec!["U1".into()],
        ..config(&["*"], &["*", "U1"])
    };
    assert!(
        !may_decide(&named, "U1", &person("U1")),
        "a bot decides nothing, also where its press does not say that it is one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_person_is_heard_so_often_in_any_minute() {
    let pace = PerUserPace::new(Some(2));
    assert!(pace.allow("U1"));
    advance(Duration::from_secs(40)).await;
    assert_eq!(
        [pace.allow("U1"), pace.allow("U1"), pace.allow("U2")],
        [true, false, true]
    );
    advance(Duration::from_secs(20)).await;
    assert_eq!([pace.allow("U1"), pace.allow("U1")], [true, false]);
    assert!(!PerUserPace::new(Some(0)).allow("U1"));
    assert!((0..100).all(|_| PerUserPace::new(None).allow("U1")));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_said_once_an_hour() {
    let pace = RefusalPace::new();
    assert_eq!(
        [pace.allow("U1"), pace.allow("U1"), pace.allow("U2")],
        [true, false, true]
    );
    advance(Duration::from_secs(3599)).await;
    assert!(!pace.allow("U1"));
    advance(Duration::from_secs(1)).await;
    assert!(pace.allow("U1"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_makes_it_forget_the_oldest_and_not_grow() {
    let pace = RefusalPace::new();
    for n in 0..10_000 {
        pace.allow(&format!("old{n}"));
    }
    advance(Duration::from_secs(1)).await;
    for n in 0..5_001 {
        assert!(pace.allow(&format!("new{n}")));
        assert!(pace.remembered() <= 10_000);
    }
    assert!(!pace.allow("new0"), "who came last is remembered");
    // Once their hour is over, all of them make room.
    advance(Duration::from_secs(3600)).await;
    for n in 0..5_001 {
        pace.allow(&format!("later{n}"));
    }
    assert!(pace.remembered() <= 10_000);
}
