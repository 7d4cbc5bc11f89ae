//! Discord's dispatches and interactions.

#![no_main]

use botyard_discord::event::Reader;
use botyard_fuzz::{Way, event, hold};
use libfuzzer_sys::fuzz_target;

/// With what the host adds to a dispatch.
const fn dispatch(name: &'static str) -> Way {
    Way {
        transport: "discord",
        name,
        headers: &[
            ("botyard-sequence", "0123456789abcdef0123456789abcdef:7"),
            ("botyard-channel-type", "0"),
        ],
    }
}

const WAYS: [Way; 9] = [
    dispatch("MESSAGE_CREATE"),
    dispatch("MESSAGE_UPDATE"),
    dispatch("MESSAGE_DELETE"),
    dispatch("MESSAGE_DELETE_BULK"),
    dispatch("MESSAGE_REACTION_ADD"),
    dispatch("MESSAGE_REACTION_REMOVE"),
    dispatch("INTERACTION_CREATE"),
    dispatch("NEW_IN_2030"),
    Way {
        transport: "webhook",
        name: "",
        headers: &[("Content-Type", "application/json")],
    },
];

fuzz_target!(|data: &[u8]| {
    let reader = Reader {
        me: Some("900000000000000001".into()),
        threads: || true,
    };
    if let Some(event) = event(&WAYS, data) {
        hold(reader.translate(&event));
    }
});
