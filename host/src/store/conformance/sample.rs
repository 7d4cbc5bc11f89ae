//! One of each kind of row.

use crate::chat::{
    BotName, Conversation, Editable, Event, InboxId, Item, Lasting, Message, Origin, Person, Question, RouteStep,
    SessionId, SessionKey, Subject, Target, Token, TurnId, View, ViewState, What,
};
use crate::store::{
    AskRow, AskState, Decision, InFile, OutboxRow, RunPart, RunRow, SessionRow, TokenRow, TurnKind, TurnRow, TurnState,
};

pub(crate) fn bot() -> BotName {
    BotName::from("team")
}

pub(crate) fn conversation(channel: &str) -> Conversation {
    Conversation {
        tenant: Some("T1".into()),
        channel: channel.into(),
        thread: None,
        direct: false,
    }
}

pub(crate) fn item(key: &str) -> Item {
    let sender = Person {
        id: "U1".into(),
        name: Some("Ann".into()),
        handle: None,
        tenant: None,
        groups: vec!["dev".into()],
        locale: None,
        bot: false,
    };
    let message = Message {
        id: "m1".into(),
        text: "hello".into(),
        mentions: Vec::new(),
        addressed: true,
        quotes: None,
        new_thread: None,
        attachments: Vec::new(),
        group: None,
    };
    Item {
        origin: Origin {
            key: key.into(),
            conversation: conversation("C1"),
            sender,
            sent: Some(1),
            reply_to: vec![0, 255],
        },
        what: What::Message(message),
    }
}

pub(crate) fn run_row(id: i64) -> RunRow {
    let step = |to: &str, say: Option<&str>| RouteStep {
        to: vec![to.into()],
        say: say.map(str::to_owned),
    };
    RunRow {
        id: InboxId(id),
        bot: bot(),
        session: SessionKey::from("s1"),
        route: Some("review".into()),
        steps: vec![step("coder", None), step("reviewer", Some("Look: {answer}"))],
        step: 0,
        text: "hello".into(),
        parts: vec![RunPart {
            agent: "coder".into(),
            item: InboxId(id + 1),
            came: None,
        }],
        missed: Vec::new(),
        stopped: false,
        open: true,
        origin: item("m").origin,
        target: target("C1"),
        via: None,
        message: "hello".into(),
        files: Vec::new(),
        now: false,
    }
}

pub(crate) fn view(turn: &str, revision: u32, state: ViewState) -> View {
    View {
        turn: TurnId::from(turn),
        revision,
        state,
        blocks: Vec::new(),
        stop_token: None,
        footer: Some("footer".into()),
        extra: Vec::new(),
    }
}

pub(crate) fn target(channel: &str) -> Target {
    Target {
        conversation: conversation(channel),
        reply_to: vec![1, 2, 3],
        private_to: None,
    }
}

pub(crate) fn outbox_row(turn: &str, view: Option<View>) -> OutboxRow {
    OutboxRow::pending(TurnId::from(turn), bot(), target("C1"), view, 10)
}

pub(crate) fn turn_row(id: &str, state: TurnState, opened: i64) -> TurnRow {
    TurnRow {
        id: TurnId::from(id),
        bot: bot(),
        session: SessionKey::from("s1"),
        session_id: SessionId::from("id-s1"),
        kind: TurnKind::Compact,
        inbox: Some(InboxId(7)),
        state,
        attempt: 1,
        target: target("C1"),
        asker: "U1".into(),
        prompt: "hello".into(),
        opened,
        view: Some(view(id, 3, ViewState::Running)),
        files: vec![InFile {
            id: "f1".into(),
            name: "plan.png".into(),
            media_type: "image/png".into(),
            size_bytes: 5,
        }],
    }
}

pub(crate) fn session_row(key: &str, updated: i64) -> SessionRow {
    SessionRow {
        id: SessionId(format!("id-{key}")),
        owner: Some("U1".into()),
        cli_session: Some("9b2e".into()),
        resumable: true,
        epoch: 2,
        name: Some("the build".into()),
        allowed: vec!["[]".into()],
        cost_micros: 7,
        updated,
        ..SessionRow::begin(SessionKey::from(key), bot(), "claude".into(), conversation("C1"))
    }
}

pub(crate) fn ask_row(id: &str, state: AskState, expires: i64) -> AskRow {
    AskRow {
        id: id.into(),
        bot: bot(),
        session: SessionKey::from("s1"),
        turn: TurnId::from("t1"),
        conversation: conversation("C1"),
        request: "r1".into(),
        tool: "Bash".into(),
        input: "{}".into(),
        subject: Subject::Questions(vec![Question {
            text: "Which?".into(),
            options: vec![("A".into(), String::new())],
            several: true,
        }]),
        editable: Editable::Field("command".into()),
        lasting: Some(Lasting {
            updates: "[]".into(),
            words: "all".into(),
        }),
        hears: true,
        approvers: vec!["U2".into()],
        expires,
        state,
        decided: (state != AskState::Open).then(|| (Decision::Allow, "U1".into())),
    }
}

pub(crate) fn token_row(token: &str, expires: i64) -> TokenRow {
    TokenRow {
        token: Token::from(token),
        bot: bot(),
        conversation: conversation("C1"),
        session: SessionKey::from("s1"),
        turn: TurnId::from("t1"),
        ask: Some("a1".into()),
        decision: Decision::Deny,
        expires,
    }
}

pub(crate) fn event(payload: &[u8]) -> Event {
    Event {
        transport: "webhook".into(),
        name: String::new(),
        method: "POST".into(),
        query: String::new(),
        headers: vec![("a".into(), "b".into())],
        payload: payload.to_vec(),
        received: 5,
    }
}
