//! What is to be written to a socket: bytes of ours, then a piece that lies elsewhere, then what ends it. All of it goes
//! into one system call where the socket takes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// What waits to be written around a piece.
#[derive(Debug, Default)]
pub struct Outbox {
    front: Vec<u8>,
    sent: usize,
    back: &'static [u8],
}

impl Outbox {
    /// Begins with these bytes.
    pub fn new(front: Vec<u8>) -> Self {
        Self { front, sent: 0, back: b"" }
    }

    /// The bytes in front of the next piece: heads, sizes of chunks.
    pub fn front(&mut self) -> &mut Vec<u8> {
        if self.sent == self.front.len() {
            self.front.clear();
            self.sent = 0;
        }
        &mut self.front
    }

    /// What follows the next piece.
    pub fn follow_with(&mut self, back: &'static [u8]) {
        debug_assert!(self.back.is_empty());
        self.back = back;
    }

    /// Whether another piece can begin: what follows the last one is written.
    #[inline]
    pub fn takes_piece(&self) -> bool {
        self.back.is_empty()
    }

    /// Whether there is nothing to write but a piece.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sent == self.front.len() && self.back.is_empty()
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.front
    }

    /// Writes once: what is in front, `piece`, what follows. Answers how much of the piece was written; the caller
    /// passes the rest of it next time.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        piece: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let front = &self.front[self.sent..];
        let stream = Pin::new(stream);
        let written = match (front.is_empty(), piece.is_empty(), self.back.is_empty()) {
            (true, true, true) => return Poll::Ready(Ok(0)),
            (false, true, true) => stream.poll_write(cx, front),
            (true, false, true) => stream.poll_write(cx, piece),
            _ => stream.poll_write_vectored(cx, &[front, piece, self.back].map(IoSlice::new)),
        };
        let mut written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_front = written.min(front.len());
        self.sent += of_front;
        written -= of_front;
        let of_piece = written.min(piece.len());
        self.back = &self.back[written - of_piece..];
        Poll::Ready(Ok(of_piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt as _;

    /// However little the socket takes at a time, the bytes are those that were given, in their order.
    #[tokio::test]
    async fn pieces_go_out_between_front_and_back() {
        for room in 1..40 {
            let (mut ours, mut peer) = tokio::io::duplex(room);
            let reading = tokio::spawn(async move {
                let mut read = String::new();
                peer.read_to_string(&mut read).await.unwrap();
                read
            });
            let mut outbox = Outbox::new(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
            for piece in ["hello", "", "world"] {
                if !piece.is_empty() {
                    crate::write::chunk_size(outbox.front(), piece.len());
                    outbox.follow_with(b"\r\n");
                }
                let mut rest = piece.as_bytes();
                while !rest.is_empty() || !outbox.is_empty() {
                    let written = poll_fn(|cx| outbox.poll_write(&mut ours, rest, cx)).await.unwrap();
                    rest = &rest[written..];
                }
            }
            drop(ours);
            assert_eq!(reading.await.unwrap(), "HTTP/1.1 200 OK\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n");
        }
    }
}
