//! What a view may send, and where secrets go: never beyond the grant, whatever the guest asks.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Bench, Plan, target};
use crate::chat::CallError;

/// Answers every request with 200 and `m1`; what came stands in its result, oldest first, once it is dropped.
pub(super) struct Vendor {
    pub(super) base: String,
    pub(super) heard: tokio::sync::mpsc::Receiver<String>,
    serving: JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Vendor {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/", listener.local_addr().expect("bound"));
        let (tell, heard) = tokio::sync::mpsc::channel(64);
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut piece = [0; 1024];
                while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(0) | Err(_) => break,
                        Ok(n) => request.extend_from_slice(&piece[..n]),
                    }
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nm1";
                if stream.write_all(answer).await.is_err()
                    || tell.send(String::from_utf8_lossy(&request).into()).await.is_err()
                {
                    return;
                }
            }
        });
        Self { base, heard, serving }
    }

    async fn bench(&self) -> Bench {
        let mut plan = Plan::hostile();
        plan.api_base = self.base.clone();
        plan.ready().await
    }
}

#[tokio::test]
async fn a_view_is_posted_with_the_secret_that_the_guest_never_sees() {
    let mut vendor = Vendor::start().await;
    let bench = vendor.bench().await;
    let turn = bench.turn().await;
    assert_eq!(
        bench.show(&turn, "post post:c").await,
        Ok(Some(Duration::from_millis(250)))
    );
    let request = vendor.heard.recv().await.expect("a request");
    assert!(request.starts_with("POST /api/post HTTP/1.1\r\n"), "{request}");
    assert!(
        request
            .to_ascii_lowercase()
            .contains("authorization: bearer bot_token-value-of-a-secret\r\n"),
        "{request}"
    );
    assert_eq!(bench.row(&turn).await.memory.as_deref(), Some(b"m1".as_slice()));
    assert_eq!(bench.adapter.buckets_of(&target().conversation), ["post:c"]);
    // What it changes from then on, and how often it calls for that, is what the next update's place is asked for.
    assert_eq!(bench.adapter.calls_of_update(&target().conversation), []);
    assert!(bench.change(&turn, "post post:c").await.is_ok());
    assert_eq!(
        bench.adapter.calls_of_update(&target().conversation),
        [("post:c".to_owned(), 1)]
    );
}

#[tokio::test]
async fn neither_a_foreign_host_nor_a_foreign_place_gets_anything() {
    let mut vendor = Vendor::start().await;
    let bench = vendor.bench().await;
    let turn = bench.turn().await;
    let elsewhere = format!("steal {}elsewhere", vendor.base);
    for wish in [
        "foreign https://evil.example/",
        "foreign http://169.254.169.254/latest/meta-data/",
        "steal https://evil.example/api/",
        // The right host, but not below the secret's target.
        elsewhere.as_str(),
        "wrong-slot",
    ] {
        let refused = bench.show(&turn, wish).await;
        assert!(matches!(refused, Err(CallError::Rejected(_))), "{wish}: {refused:?}");
    }
    assert!(vendor.heard.try_recv().is_err(), "the vendor heard something");
    // Being refused is no failure of the guest's, and the next view works.
    assert_eq!(bench.adapter.failures().0, 0);
    assert!(bench.show(&turn, "post p").await.is_ok());
}
