//! The operator's certificate authority, for calls and sockets. `ca.pem` signed `leaf.pem` for `tls.example`; made
//! with openssl for a hundred years, for these tests alone.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rustls::pki_types::PrivateKeyDer;
use tokio_tungstenite::tungstenite::{Message, accept};

use super::resolve::{Looking, Lookup};
use super::*;

struct Loopback;

impl Lookup for Loopback {
    fn look_up(&self, _name: &str) -> Looking {
        Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
    }
}

/// Serves so many connections, one after the other: websockets, or one answer each.
fn serve(connections: usize, socket: bool) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("leaf.pem"))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("leaf.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            let tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, stream);
            if socket {
                if let Ok(mut socket) = accept(stream) {
                    let _ = socket.send(Message::text("over tls"));
                    while socket.read().is_ok() {}
                }
                continue;
            }
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 8\r\nconnection: close\r\n\r\nover tls");
        }
    });
    (address, thread)
}

fn through(ca: bool, address: SocketAddr) -> Outlet {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/egress/tests/ca.pem");
    let settings = EgressSettings {
        proxy: None,
        ca_file: ca.then(|| PathBuf::from(path)),
    };
    let lookup: Arc<dyn Lookup> = Arc::new(Loopback);
    let egress = Egress::with_lookup(&settings, &lookup).unwrap();
    egress
        .outlet(grant(&format!("https://tls.example:{}/", address.port()), about()))
        .unwrap()
}

#[tokio::test]
async fn only_the_operators_authority_makes_its_hosts_reachable() {
    let (address, thread) = serve(2, false);
    let refused = through(false, address).send(post("/x", "")).await;
    let Err(CallError::Unavailable(why)) = &refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(
        text(&through(true, address).send(post("/x", "")).await.unwrap()),
        "over tls"
    );
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();

    let (address, thread) = serve(2, true);
    let opening = Opening {
        url: "/ws".to_owned(),
        headers: Headers::new(),
        protocols: Vec::new(),
        secrets: Vec::new(),
        ping_every: None,
    };
    let refused = through(false, address).open(opening.clone()).await;
    assert!(
        matches!(refused, Err(OpenError::Failed(CallError::Unavailable(_)))),
        "{refused:?}"
    );
    let mut socket = through(true, address).open(opening).await.unwrap();
    assert_eq!(
        socket.receive.recv().await,
        Some(Ok(Frame::Text("over tls".to_owned())))
    );
    drop(socket);
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
}

#[test]
fn a_ca_file_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let new = || {
        Egress::new(&EgressSettings {
            proxy: None,
            ca_file: Some(path.clone()),
        })
        .unwrap_err()
        .to_string()
    };
    assert!(new().contains("ca.pem` cannot be used: "), "{}", new());
    std::fs::write(&path, "nothing").unwrap();
    assert!(new().ends_with("it has no certificate"), "{}", new());
}
