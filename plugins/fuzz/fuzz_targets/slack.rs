//! Slack's requests and frames.

#![no_main]

use botyard_fuzz::{Way, event, hold};
use botyard_slack::event::Reader;
use libfuzzer_sys::fuzz_target;

const fn hook(kind: &'static [(&'static str, &'static str)]) -> Way {
    Way {
        transport: "webhook",
        name: "",
        headers: kind,
    }
}

const fn frame(name: &'static str) -> Way {
    Way {
        transport: "slack",
        name,
        headers: &[],
    }
}

const WAYS: [Way; 6] = [
    hook(&[("Content-Type", "application/json")]),
    hook(&[("Content-Type", "application/x-www-form-urlencoded")]),
    frame("events_api"),
    frame("interactive"),
    frame("slash_commands"),
    frame("of_tomorrow"),
];

fuzz_target!(|data: &[u8]| {
    let reader = Reader {
        me: Some("UBOT".into()),
        command: || "/botyard".into(),
    };
    if let Some(event) = event(&WAYS, data) {
        hold(reader.translate(&event));
    }
});
