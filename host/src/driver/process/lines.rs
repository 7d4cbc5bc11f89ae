//! Lines of a CLI's stdout. A CLI writes lines of several MiB (the whole file that it edited, in one line), so the cap
//! is wide, and what is longer is skipped rather than the end of the session.

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line that is kept. Lines of 3.3 MiB were seen from Claude Code 2.1.329.
pub const LINE_LIMIT: usize = 32 * 1024 * 1024;
/// What one read asks for at least.
const READ_SIZE: usize = 64 * 1024;
/// A buffer larger than this is given back once it is empty.
const KEEP: usize = 1024 * 1024;

/// Splits a stream into lines.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    buffer: BytesMut,
    /// No newline before this place.
    scanned: usize,
    limit: usize,
    /// In the middle of a line that was too long.
    skipping: bool,
    skipped: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(from: R) -> Self {
        Self::with_limit(from, LINE_LIMIT)
    }

    /// With a limit of its own, in bytes.
    pub fn with_limit(from: R, limit: usize) -> Self {
        Self {
            from,
            buffer: BytesMut::new(),
            scanned: 0,
            limit,
            skipping: false,
            skipped: 0,
        }
    }

    /// The next line, without its newline; blank lines are passed over. None: end of file (a last line without a
    /// newline is given first). Cancel safe.
    pub async fn next(&mut self) -> io::Result<Option<BytesMut>> {
        loop {
            while let Some(line) = self.take_line() {
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
                self.buffer = BytesMut::new();
            }
            self.buffer.reserve(READ_SIZE);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                self.scanned = 0;
                let rest = self.buffer.split();
                let whole = !std::mem::take(&mut self.skipping) && !rest.trim_ascii().is_empty();
                return Ok(whole.then_some(rest));
            }
        }
    }

    /// Whatever has come since, not split into lines. None: end of file. Cancel safe.
    pub async fn piece(&mut self) -> io::Result<Option<BytesMut>> {
        self.buffer.reserve(READ_SIZE);
        if self.buffer.is_empty() && self.from.read_buf(&mut self.buffer).await? == 0 {
            return Ok(None);
        }
        self.scanned = 0;
        Ok(Some(self.buffer.split()))
    }

    /// Lines that were too long.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn take_line(&mut self) -> Option<BytesMut> {
        loop {
            let found = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n');
            let Some(at) = found.map(|offset| self.scanned + offset) else {
                self.scanned = self.buffer.len();
                if self.skipping || self.scanned > self.limit {
                    self.skipped += u64::from(!self.skipping);
                    self.skipping = true;
                    self.buffer.clear();
                    self.scanned = 0;
                }
                return None;
            };
            let line = self.buffer.split_to(at);
            self.buffer.advance(1);
            self.scanned = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > self.limit {
                self.skipped += 1;
                continue;
            }
            return Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::Lines;

    async fn read_all(chunks: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, u64) {
        let (mut write, read) = tokio::io::duplex(7);
        let mut lines = Lines::with_limit(read, limit);
        let feed = async {
            for chunk in chunks {
                write.write_all(chunk).await.unwrap();
            }
            drop(write);
        };
        let take = async {
            let mut all = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                all.push(line.to_vec());
            }
            (all, lines.skipped())
        };
        tokio::join!(feed, take).1
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_come() {
        let text = "{\"a\":\"\u{fc}\u{1f600}\"}\n\n  \nsecond\r\nlast without end";
        let bytes = text.as_bytes();
        let singly = bytes.chunks(1).collect::<Vec<_>>();
        let expected = vec![
            "{\"a\":\"\u{fc}\u{1f600}\"}".as_bytes().to_vec(),
            b"second\r".to_vec(),
            b"last without end".to_vec(),
        ];
        assert_eq!(read_all(&[bytes], 1000).await, (expected.clone(), 0));
        assert_eq!(read_all(&singly, 1000).await, (expected, 0));
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_skipped_and_counted() {
        let long = vec![b'x'; 500];
        let exact = vec![b'y'; 100];
        let read = read_all(&[b"one\n", &long, b"\ntwo\n", &exact, b"\n", &long], 100).await;
        assert_eq!(read, (vec![b"one".to_vec(), b"two".to_vec(), exact], 2));
    }
}
