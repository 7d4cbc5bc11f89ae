//! One call of each adapter in a fresh instance: an event that is translated, and a view that is rendered. The view is
//! one that stands there already, so that the adapter builds everything, compares, and calls nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use botyard::chat::{
    Block, BotName, Event, Origin, Part, PlanItem, PlanState, Step, StepState, Target, TurnId, View, ViewState, What,
};
use botyard::config::SecretText;
use botyard::egress::{Egress, EgressSettings, Grant};
use botyard::plugin::{Adapter, BotServices, CallLimits, Runtime};
use botyard::store::{Journal, OutboxRow, OutboxState};
use serde_json::json;

use crate::line::{DiscordLine, FeishuLine, Line, SlackLine};
use crate::report::Report;

const WARM: usize = 500;
const CALLS: usize = 5000;

/// What an event of this line looks like when its transport hands it over.
fn event(line: &dyn Line) -> Event {
    let (transport, name, payload) = match line.adapter() {
        "slack" => (
            "webhook",
            "",
            json!({"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1", "event_time": 1_700_000_000,
                "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
                "event": {"type": "message", "channel_type": "im", "channel": "D0", "user": "U1", "text": "please look at *this* <@U2> and <https://example.com|that>",
                    "ts": "1700000000.000100", "event_ts": "1700000000.000100", "client_msg_id": "c1", "team": "T1",
                    "blocks": [{"type": "rich_text", "block_id": "b", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "please look at this"}]}]}]}}),
        ),
        "discord" => (
            "discord",
            "MESSAGE_CREATE",
            json!({"op": 0, "s": 5, "t": "MESSAGE_CREATE", "d": {
                "id": "1444000000000000000", "channel_id": "310000000000000000", "type": 0, "pinned": false, "tts": false,
                "content": "please look at **this** and https://example.com/that", "timestamp": "2026-01-01T00:00:00.000000+00:00",
                "author": {"id": "400000000000000001", "username": "ann", "global_name": "Ann", "discriminator": "0", "avatar": null},
                "mentions": [], "mention_roles": [], "mention_everyone": false, "attachments": [], "embeds": [], "components": []}}),
        ),
        _ => (
            "link",
            "event",
            json!({"schema": "2.0",
                "header": {"event_id": "e1", "token": "t", "create_time": "1700000000000", "event_type": "im.message.receive_v1", "tenant_key": "k", "app_id": "a"},
                "event": {"sender": {"sender_id": {"open_id": "ou_p0", "union_id": "on_p0", "user_id": ""}, "sender_type": "user", "tenant_key": "k"},
                    "message": {"message_id": "om_1", "chat_id": "oc_p0", "chat_type": "p2p", "message_type": "text",
                        "content": "{\"text\":\"please look at this and https://example.com/that\"}",
                        "create_time": "1700000000000", "update_time": "1700000000000"}}}),
        ),
    };
    Event {
        transport: transport.into(),
        name: name.into(),
        method: "POST".into(),
        query: String::new(),
        headers: vec![("content-type".into(), "application/json".into())],
        payload: payload.to_string().into_bytes(),
        received: 1_700_000_000_000,
    }
}

/// An answer as they are: a plan, steps, some paragraphs, code, a table.
fn view(turn: &TurnId) -> View {
    let step = |number: usize| {
        Part::Step(Step {
            kind: "execute".into(),
            title: format!("cargo test part{number}"),
            detail: "in the workspace".into(),
            output: "12 passed; 0 failed".into(),
            state: StepState::Done,
            elapsed: Some(Duration::from_millis(1200)),
        })
    };
    let item = |text: &str| PlanItem {
        text: text.into(),
        state: PlanState::Done,
    };
    let text = "The build was red because **one test** waited for a clock.\n\n```rust\nfn main() {\n    println!(\"hello\");\n}\n```\n\n\
                | what | before | after |\n| --- | --- | --- |\n| time | 3 s | 1 s |\n\nIt is green now, see `src/main.rs`.";
    let parts = vec![
        Part::Plan(vec![item("read"), item("change"), item("test")]),
        step(1),
        step(2),
        step(3),
        Part::Text(text.into()),
    ];
    let block = |(part, id)| Block {
        id,
        parent: None,
        revision: 1,
        part,
        complete: true,
    };
    View {
        turn: turn.clone(),
        revision: 1,
        state: ViewState::Done,
        blocks: parts.into_iter().zip(1..).map(block).collect(),
        stop_token: None,
        footer: Some("10 tokens in, 5 out".into()),
        extra: Vec::new(),
    }
}

pub(crate) async fn calls(report: &mut Report) -> Result<()> {
    let lines: [Box<dyn Line>; 3] = [
        Box::new(SlackLine::start(false, 1).await),
        Box::new(DiscordLine::start(false, 1).await),
        Box::new(FeishuLine::start(false, 1).await),
    ];
    for line in &lines {
        adapter(&**line, report).await?;
    }
    Ok(())
}

async fn adapter(line: &dyn Line, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let name = line.adapter();
    let runtime = Runtime::new(&folder.path().join("cache"))?;
    let component = botyard::supervisor::load(&runtime, name).await?;
    let secrets: BTreeMap<_, _> = line
        .secrets()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), SecretText::new(value)))
        .collect();
    let journal = Journal::open(&folder.path().join("db"))?;
    let outlet = Egress::new(&EgressSettings::default())?
        .outlet(Grant {
            bot: "team".into(),
            api_base: line.api_base(),
            api_base_by_operator: true,
            about: Arc::clone(component.about()),
            secrets: secrets.clone(),
            hosts: Vec::new(),
        })
        .map_err(|reasons| anyhow!(reasons.join("; ")))?;
    let services = BotServices {
        bot: BotName("team".into()),
        mode: line.mode().into(),
        api_base: line.api_base(),
        settings: BTreeMap::new(),
        secrets,
        hook_base: None,
        outlet,
        journal: journal.clone(),
        files_dir: folder.path().join("files"),
        limits: CallLimits {
            memory_bytes: 64 << 20,
            deadline: Duration::from_secs(5),
            output_bytes: 8 << 20,
            file_bytes: 1 << 20,
        },
    };
    let adapter = Adapter::bind(&runtime, &component, services);
    adapter.set_me(adapter.me().await?);
    let event = event(line);
    let mut all = Vec::with_capacity(CALLS);
    for number in 0..WARM + CALLS {
        let begun = Instant::now();
        let translated = adapter.translate(&event).await?;
        if number >= WARM {
            all.push(begun.elapsed());
        }
        let heard = matches!(&translated.items[..], [item] if matches!(item.what, What::Message(_)));
        ensure!(heard, "{name}: the event was not understood");
    }
    report.latency(&format!("{name}: an event is translated in a fresh instance"), all);
    let origin = adapter.translate(&event).await?.items.remove(0).origin;
    shown(line, &adapter, &journal, origin, report).await?;
    journal.close().await;
    Ok(())
}

async fn shown(
    line: &dyn Line,
    adapter: &Adapter,
    journal: &Journal,
    origin: Origin,
    report: &mut Report,
) -> Result<()> {
    let name = line.adapter();
    let turn = TurnId::random();
    let view = view(&turn);
    let target = Target {
        conversation: origin.conversation,
        reply_to: origin.reply_to,
        private_to: None,
    };
    let row = OutboxRow {
        turn: turn.clone(),
        bot: BotName("team".into()),
        target: target.clone(),
        view: None,
        state: OutboxState::Pending,
        memory: None,
        attempts: 0,
        next_try: 0,
        last_error: None,
        updated: 0,
    };
    journal.write(move |store| store.outbox_put(&row)).await?;
    adapter.show(&view, &target, turn.as_str(), None).await?;
    let key = turn.clone();
    let row = journal.read(move |store| store.outbox_get(&key)).await?;
    let memory = row.and_then(|row| row.memory);
    let before = line.called().len();
    let mut all = Vec::with_capacity(CALLS);
    for number in 0..WARM + CALLS {
        let begun = Instant::now();
        adapter.show(&view, &target, turn.as_str(), memory.clone()).await?;
        if number >= WARM {
            all.push(begun.elapsed());
        }
    }
    ensure!(
        line.called().len() == before,
        "{name}: what stands there already was sent again"
    );
    report.latency(&format!("{name}: a view is rendered in a fresh instance"), all);
    Ok(())
}
