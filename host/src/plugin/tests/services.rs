//! What each export may use, and what the services refuse.

use super::{Bench, Plan, wished};
use crate::chat::{Attachment, CallError, Person};

async fn probes(bench: &Bench, wishes: &[&str]) -> Vec<String> {
    let mut said = Vec::new();
    for wish in wishes {
        said.push(
            bench
                .wish(&format!("probe {wish}"))
                .await
                .expect("the call itself is fine"),
        );
    }
    said
}

#[tokio::test]
async fn ingress_may_use_neither_http_nor_what_a_link_and_a_view_have() {
    let bench = Plan::hostile().ready().await;
    assert_eq!(
        probes(&bench, &["http", "memory", "socket", "emit", "next", "link-call"]).await,
        [
            "Error::Rejected(\"`http` may not be used in `ingress`\")",
            "Error::Rejected(\"`memory` may not be used in `ingress`\")",
            "Err(OpenError::Failed(Error::Rejected(\"`socket` may not be used in `ingress`\")))",
            "Error::Rejected(\"`events` may not be used in `ingress`\")",
            "Happening::Stop",
            "Error::Rejected(\"`link-call` may not be used in `ingress`\")",
        ]
    );
    assert_eq!(bench.adapter.refusals(), 6);
}

#[tokio::test]
async fn crypto_tells_nothing_of_a_secret_itself() {
    let bench = Plan::hostile().ready().await;
    let said = probes(
        &bench,
        &[
            "digest-of-secret",
            "digest-with-little",
            "hmac-under-own-key",
            "hmac-of-secrets",
            "hmac-of-nothing",
            "secret-not-for-crypto",
            "guess",
        ],
    )
    .await;
    for answer in &said {
        assert!(answer.starts_with("Error::Rejected("), "{answer}");
    }
    // What a vendor's scheme needs is given: RFC 2104 over SHA-256, computed with Python's hmac.
    let mac = bench.wish("probe hmac v0:1700000000:{}").await.expect("it works");
    assert!(mac.starts_with("ok ["), "{mac}");
    let bytes = ring_hmac("bot_token-value-of-a-secret", "v0:1700000000:{}");
    assert_eq!(mac, format!("ok {bytes:?}"));
}

#[tokio::test]
async fn a_key_that_is_its_own_vector_never_touches_what_the_guest_knows() {
    let bench = Plan::hostile().ready().await;
    // The first blocks differ, because the host's random bytes stand there; the guest's own come back.
    assert_eq!(
        bench.wish("probe own-vector").await,
        Ok("false ok \"hello\"".to_owned())
    );
}

fn ring_hmac(key: &str, text: &str) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

#[tokio::test]
async fn the_store_is_per_bot_and_kept_over_calls() {
    let bench = Plan::hostile().ready().await;
    let neighbour = bench.neighbour();
    assert_eq!(bench.wish("probe put mine").await, Ok("ok ()".to_owned()));
    assert_eq!(bench.wish("probe get").await, Ok("ok Some(\"mine\")".to_owned()));
    assert_eq!(wished(&neighbour, "probe get").await, Ok("ok None".to_owned()));
    assert_eq!(
        bench.wish("probe put-large").await,
        Ok("Error::TooLarge(262144)".to_owned())
    );
}

#[tokio::test]
async fn the_store_has_a_quota_of_entries() {
    let bench = Plan::hostile().ready().await;
    bench
        .journal
        .write(|store| {
            for n in 0..10_000 {
                store.kv_put(&"bot".into(), &format!("guest/{n}"), b"", None)?;
            }
            Ok(())
        })
        .await
        .expect("filled");
    assert_eq!(
        bench.wish("probe put more").await,
        Ok("Error::TooLarge(67108864)".to_owned())
    );
    // Of one bot: the other has room.
    assert_eq!(
        wished(&bench.neighbour(), "probe put more").await,
        Ok("ok ()".to_owned())
    );
}

#[tokio::test]
async fn files_are_per_bot_and_have_no_path() {
    let bench = Plan::hostile().ready().await;
    let said = bench.wish("probe keep hello").await.expect("it works");
    let id = said
        .strip_prefix("ok \"")
        .and_then(|s| s.strip_suffix('"'))
        .expect("an id");
    assert_eq!(
        std::fs::read(bench.files().join("bot").join(id)).expect("kept"),
        b"hello"
    );
    assert_eq!(
        bench.wish(&format!("probe read {id}")).await,
        Ok(format!("ok {:?}", b"hello"))
    );
    let missing = |id: &str| Ok(format!("Error::Rejected({:?})", format!("there is no file `{id}`")));
    assert_eq!(
        wished(&bench.neighbour(), &format!("probe read {id}")).await,
        missing(id)
    );
    assert_eq!(bench.wish("probe read ../../cache").await, missing("../../cache"));
}

#[tokio::test]
async fn an_attachment_that_is_not_there_is_the_adapters_failure() {
    let bench = Plan::hostile().ready().await;
    let attachment = Attachment {
        name: "x".to_owned(),
        media_type: None,
        size_bytes: None,
        source: "../../store.db".to_owned(),
    };
    let error = bench.adapter.fetch(&attachment).await.expect_err("refused");
    assert!(
        matches!(error, CallError::Trapped(ref text) if text.contains("there is no file")),
        "{error}"
    );
}

#[tokio::test]
async fn who_the_bot_is_reaches_guests_and_survives() {
    let bench = Plan::hostile().ready().await;
    assert_eq!(bench.wish("me").await, Ok("None".to_owned()));
    let me = Person {
        id: "U1".to_owned(),
        name: None,
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot: true,
    };
    bench.adapter.set_me(me.clone());
    assert_eq!(bench.wish("me").await, Ok("Some(\"U1\")".to_owned()));
    let again = bench.adapter.recall_me().await.expect("the store can be read");
    assert_eq!(again, Some(me));
    assert_eq!(
        bench.neighbour().recall_me().await.expect("the store can be read"),
        None
    );
}
