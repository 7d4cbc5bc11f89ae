//! Adapters as they were released (`tests/abi`): each version of the interface keeps some, and every later host runs them.
//! `tests/it/abi.rs` has the one with every export.

use super::link::holds_a_socket;
use super::out::Vendor;
use super::{Plan, event};
use crate::chat::{Conversation, Item, Message, Origin, Person, What};
use crate::plugin::{Offers, Runtime};

const BASIC: &[u8] = include_bytes!("../../../../tests/abi/1.0/basic.wasm");
const LINK: &[u8] = include_bytes!("../../../../tests/abi/1.0/link.wasm");

#[tokio::test]
async fn smallest_adapter_of_the_first_release_hears_and_speaks() {
    let mut vendor = Vendor::start().await;
    let mut plan = Plan::of(BASIC);
    plan.api_base = vendor.base.clone();
    let bench = plan.ready().await;
    let offers = Offers {
        interaction: false,
        attachments: false,
        account: false,
        history: false,
        link: false,
    };
    assert_eq!(bench.component.offers(), offers);
    let translated = bench.adapter.translate(&event("hello")).await.expect("understood");
    let expected = Item {
        origin: Origin {
            key: "hello".into(),
            conversation: Conversation {
                tenant: None,
                channel: "c".into(),
                thread: None,
                direct: true,
            },
            sender: Person {
                id: "ann".into(),
                name: None,
                handle: None,
                tenant: None,
                groups: Vec::new(),
                locale: None,
                bot: false,
            },
            sent: None,
            reply_to: Vec::new(),
        },
        what: What::Message(Message {
            id: "hello".into(),
            text: "hello".into(),
            mentions: Vec::new(),
            addressed: true,
            quotes: None,
            new_thread: None,
            attachments: Vec::new(),
            group: None,
        }),
    };
    assert_eq!(translated.items, [expected]);

    let turn = bench.turn().await;
    assert_eq!(bench.show(&turn, "the answer").await, Ok(None));
    let request = vendor.heard.recv().await.expect("a request");
    assert!(
        request.starts_with("POST /message HTTP/1.1\r\n") && request.contains("Bearer token-value-of-a-secret"),
        "{request}"
    );
    assert_eq!(bench.row(&turn).await.memory.as_deref(), Some(b"m1".as_slice()));
    assert_eq!(bench.change(&turn, "the whole answer").await, Ok(None));
    let request = vendor.heard.recv().await.expect("a request");
    assert!(request.starts_with("PUT /message HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn link_of_the_first_release_holds_its_connection() {
    holds_a_socket(Plan::of(LINK)).await;
}

#[tokio::test]
async fn adapter_whose_words_are_others_is_refused_before_it_is_used() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let runtime = Runtime::new(folder.path()).expect("a runtime");
    let (name, other) = (b"stop-token".as_slice(), b"stop-tokex".as_slice());
    let mut bytes = BASIC.to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    for at in places {
        bytes[at..at + name.len()].copy_from_slice(other);
    }
    let refused = runtime
        .load("x", &bytes)
        .await
        .expect_err("its view is another")
        .to_string();
    assert!(
        refused.starts_with(
            "the adapter `x` cannot be used: its export `botyard:adapter/delivery` is not that of version 1: "
        ),
        "{refused}"
    );
}
