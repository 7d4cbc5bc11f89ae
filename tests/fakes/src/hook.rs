//! One call to a hook, as vendors make it: over a connection of its own, within a time.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What the hook said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub status: u16,
    pub body: String,
}

/// Posts to `http://HOST:PORT/PATH`.
///
/// # Errors
/// No answer within `limit`, one that breaks off, or no connection.
pub(crate) async fn post(url: &str, headers: &[(&str, &str)], body: &[u8], limit: Duration) -> Result<Heard> {
    let url = url::Url::parse(url).map_err(Error::other)?;
    let host = url.host_str().unwrap_or("127.0.0.1");
    let port = url.port_or_known_default().unwrap_or(80);
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {}\r\nConnection: close\r\n",
        url.path(),
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, Error>(answer)
    };
    let answer = tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| Error::from(ErrorKind::TimedOut))??;
    parse(&answer).ok_or_else(|| Error::other("no HTTP answer"))
}

fn parse(answer: &[u8]) -> Option<Heard> {
    let end = find(answer, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let body = &answer[end + 4..];
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = if head.contains("transfer-encoding: chunked") {
        unchunk(body)?
    } else {
        body.to_vec()
    };
    Some(Heard {
        status,
        body: String::from_utf8(body).ok()?,
    })
}

/// None: it breaks off.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = find(rest, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        rest = rest.get(line + 2..)?;
        whole.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Posts `hi` to a hook that answers with these bytes; none: it says nothing.
    async fn against(answer: Option<&'static [u8]>) -> (String, Result<Heard>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}/hook/team", listener.local_addr().expect("bound"));
        let hook = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a call");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\nhi") {
                assert_ne!(stream.read_buf(&mut request).await.expect("read"), 0);
            }
            match answer {
                Some(answer) => stream.write_all(answer).await.expect("written"),
                None => drop(stream.read_buf(&mut request).await),
            }
            String::from_utf8(request).expect("text")
        });
        let limit = Duration::from_millis(if answer.is_some() { 30_000 } else { 50 });
        let heard = post(&url, &[("X-One", "1")], b"hi", limit).await;
        (hook.await.expect("the hook"), heard)
    }

    #[tokio::test]
    async fn answers_are_read_whole_also_in_chunks_that_part_a_letter() {
        let whole = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
        let (request, heard) = against(Some(whole)).await;
        assert!(
            request.starts_with("POST /hook/team HTTP/1.1\r\n") && request.contains("\r\nX-One: 1\r\n"),
            "{request}"
        );
        let (status, body) = (401, "no".to_owned());
        assert_eq!(heard.expect("an answer"), Heard { status, body });
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\xe5\xa5\r\n2\r\n\xbdx\r\n0\r\n\r\n";
        let (status, body) = (200, "\u{597d}x".to_owned());
        assert_eq!(
            against(Some(chunks)).await.1.expect("an answer"),
            Heard { status, body }
        );
    }

    #[tokio::test]
    async fn answers_that_break_off_or_never_come_are_none() {
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal";
        assert_eq!(against(Some(cut)).await.1.expect_err("cut").kind(), ErrorKind::Other);
        assert_eq!(against(None).await.1.expect_err("late").kind(), ErrorKind::TimedOut);
    }
}
