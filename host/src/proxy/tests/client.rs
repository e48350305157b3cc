//! A client that writes bytes and reads bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::soon;

/// One connection, from either end, and what was read from it and not yet used.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A head as text lines.
pub(super) struct Head {
    pub(super) start: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads until `end` and answers what came before and including it.
    pub(super) async fn read_until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = find(&self.buffer, end.as_bytes()) {
                let taken: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                return String::from_utf8(taken).unwrap();
            }
            let count = soon(self.stream.read_buf(&mut self.buffer)).await.unwrap();
            assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    pub(super) async fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let read = soon(self.stream.read_buf(&mut self.buffer)).await.unwrap();
            assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&self.buffer));
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads to the end of the connection, however it ends.
    pub(super) async fn read_to_end(&mut self) -> String {
        while soon(self.stream.read_buf(&mut self.buffer)).await.unwrap_or(0) > 0 {}
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    pub(super) async fn read_head(&mut self) -> Head {
        let text = self.read_until("\r\n\r\n").await;
        let mut lines = text.trim_end().split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Head { start, fields: lines.map(field).collect() }
    }
}

impl Head {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "two fields {name}");
        value
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// The client's end.
pub(super) struct Client {
    pub(super) wire: Wire,
    pub(super) authority: String,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = soon(TcpStream::connect(address)).await.unwrap();
        Self { wire: Wire::new(stream), authority: address.to_string() }
    }

    /// Sends a request without a body; `fields` end in CRLF each.
    pub(super) async fn send(&mut self, method: &str, target: &str, fields: &str) {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.authority);
        self.wire.write(head).await;
    }

    /// Sends a request with a body of known length.
    pub(super) async fn send_body(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) {
        let length = format!("{fields}Content-Length: {}\r\n", body.len());
        self.send(method, target, &length).await;
        self.wire.write(body).await;
    }

    /// Reads a response with a body of known length.
    pub(super) async fn response(&mut self) -> (Head, String) {
        let head = self.wire.read_head().await;
        let length = head.get("content-length").map_or(0, |length| length.parse().unwrap());
        let body = self.wire.read_exact(length).await;
        (head, String::from_utf8(body).unwrap())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
