//! One adapter call in a fresh instance, without I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use botyard::chat::{BotName, Event, Person};
use botyard::config::SecretText;
use botyard::egress::{Egress, EgressSettings, Grant};
use botyard::plugin::{Adapter, BotServices, CallLimits, Runtime};
use botyard::store::Journal;
use serde_json::json;

use crate::report::Report;

pub(crate) async fn calls(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::new(&folder.path().join("cache"))?;
    let component = botyard::supervisor::load(&runtime, "slack").await?;
    let secrets: BTreeMap<_, _> = [("bot_token", "xoxb-1"), ("signing_secret", "a-signing-secret")]
        .map(|(name, value)| (name.to_owned(), SecretText::new(value)))
        .into();
    let journal = Journal::open(&folder.path().join("db"))?;
    let outlet = Egress::new(&EgressSettings::default())?
        .outlet(Grant {
            bot: "team".into(),
            api_base: "https://slack.com/api/".into(),
            api_base_by_operator: false,
            about: Arc::clone(component.about()),
            secrets: secrets.clone(),
            hosts: Vec::new(),
        })
        .map_err(|reasons| anyhow!(reasons.join("; ")))?;
    let adapter = Adapter::bind(
        &runtime,
        &component,
        BotServices {
            bot: BotName("team".into()),
            mode: "webhook".into(),
            api_base: "https://slack.com/api/".into(),
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
        },
    );
    adapter.set_me(Person {
        id: "UBOT".into(),
        name: None,
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot: true,
    });
    let payload = json!({"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1", "event_time": 1_700_000_000,
        "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
        "event": {"type": "message", "channel_type": "im", "channel": "D1", "user": "U1", "text": "please look at *this* <@U2> and <https://example.com|that>",
            "ts": "1700000000.000100", "event_ts": "1700000000.000100", "client_msg_id": "c1", "team": "T1",
            "blocks": [{"type": "rich_text", "block_id": "b", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "please look at this"}]}]}]}});
    let event = Event {
        transport: "webhook".into(),
        name: String::new(),
        method: "POST".into(),
        query: String::new(),
        headers: vec![("content-type".into(), "application/json".into())],
        payload: payload.to_string().into_bytes(),
        received: 1_700_000_000_000,
    };
    for _ in 0..500 {
        adapter.translate(&event).await?;
    }
    let mut all = Vec::with_capacity(5000);
    for _ in 0..5000 {
        let begun = Instant::now();
        let translated = adapter.translate(&event).await?;
        all.push(begun.elapsed());
        anyhow::ensure!(translated.items.len() == 1, "the event was not understood");
    }
    report.latency("adapter call in a fresh instance (Slack message translated)", all);
    journal.close().await;
    Ok(())
}
