//! What was read from a socket and not used yet. While a connection is idle it has no buffer: buffers are lent by their
//! worker for as long as there is something to read.

use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What one read takes: most heads with their bodies, and small enough for the cache.
const READ: usize = 16 * 1024;
/// What one read takes where much is to come.
const BULK: usize = 128 * 1024;
/// What a head is kept in while its request is answered: most fit, and thousands may wait at once.
const HEAD: usize = 2 * 1024;
/// So many spare buffers of each size are kept.
const SPARE: usize = 64;
const SPARE_BULK: usize = 8;
const SPARE_HEADS: usize = 1024;

/// The buffers of one worker.
#[derive(Debug, Default)]
pub struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
    bulk: RefCell<Vec<Vec<u8>>>,
    heads: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer with room for a head.
    pub fn lend(&self) -> Vec<u8> {
        self.small.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(READ))
    }

    fn lend_bulk(&self) -> Vec<u8> {
        self.bulk.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BULK))
    }

    fn lend_for_head(&self) -> Vec<u8> {
        self.heads.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(HEAD))
    }

    /// Takes one back. One that grew in between is dropped.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let (spare, most) = match buffer.capacity() {
            READ => (&self.small, SPARE),
            BULK => (&self.bulk, SPARE_BULK),
            HEAD => (&self.heads, SPARE_HEADS),
            _ => return,
        };
        let mut spare = spare.borrow_mut();
        if spare.len() < most {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

/// Bytes read ahead.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    used: usize,
    /// The last read took all that fitted: more is waiting.
    overflows: bool,
}

impl From<Vec<u8>> for Inbox {
    /// What was read by somebody else.
    fn from(buffer: Vec<u8>) -> Self {
        Self { buffer, used: 0, overflows: false }
    }
}

impl Inbox {
    /// What is there.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Whether nothing is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.used == self.buffer.len()
    }

    /// `count` bytes have been used. Once all are, the buffer goes back.
    pub fn consume(&mut self, count: usize, buffers: &Buffers) {
        self.used = (self.used + count).min(self.buffer.len());
        if self.is_empty() {
            self.clear(buffers);
        }
    }

    /// Takes the first `count` bytes away as a buffer of their own, to be given back by the caller: a small one if they fit,
    /// since it may be held for long.
    pub fn split_off_front(&mut self, count: usize, buffers: &Buffers) -> Vec<u8> {
        let count = count.min(self.bytes().len());
        if count <= HEAD {
            let mut front = buffers.lend_for_head();
            front.extend_from_slice(&self.bytes()[..count]);
            self.consume(count, buffers);
            return front;
        }
        let end = self.used + count;
        let mut rest = Vec::new();
        if end < self.buffer.len() {
            rest = buffers.lend();
            rest.extend_from_slice(&self.buffer[end..]);
        }
        let mut front = std::mem::replace(&mut self.buffer, rest);
        front.truncate(end);
        if self.used > 0 {
            front.drain(..self.used);
        }
        self.used = 0;
        front
    }

    /// Drops everything.
    pub fn clear(&mut self, buffers: &Buffers) {
        self.used = 0;
        if self.buffer.capacity() > 0 {
            buffers.give_back(std::mem::take(&mut self.buffer));
        }
    }

    /// Reads once, behind what is there. 0 is the end of the stream.
    pub fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let lent = self.buffer.is_empty();
        if self.buffer.capacity() == 0 {
            self.buffer = buffers.lend();
        } else if self.used > 0 && self.buffer.capacity() - self.buffer.len() < READ / 4 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve(READ);
        }
        // `poll_read` of the stream itself: it notes a short read, which saves the read that would find nothing.
        let polled = pin!(stream.read_buf(&mut self.buffer)).poll(cx);
        self.overflows = self.buffer.len() == self.buffer.capacity();
        if lent && !matches!(polled, Poll::Ready(Ok(1..))) {
            self.clear(buffers);
        }
        polled
    }

    /// So many bytes are to come, or nobody knows: many at a time are fewer system calls.
    pub fn expect(&mut self, left: Option<u64>, buffers: &Buffers) {
        let is_much = left.map_or(self.overflows, |left| left > READ as u64);
        if is_much && self.is_empty() && self.buffer.capacity() < BULK {
            self.clear(buffers);
            self.buffer = buffers.lend_bulk();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test]
    async fn what_is_used_makes_room_and_an_empty_inbox_has_no_buffer() {
        let (mut peer, mut ours) = tokio::io::duplex(1 << 20);
        let (buffers, mut inbox) = (Buffers::default(), Inbox::default());
        peer.write_all(b"head, body and more").await.unwrap();
        assert_eq!(poll_fn(|cx| inbox.poll_read(&mut ours, &buffers, cx)).await.unwrap(), 19);
        assert_eq!(inbox.split_off_front(6, &buffers), b"head, ");
        assert_eq!(inbox.bytes(), b"body and more");
        inbox.consume(9, &buffers);
        assert_eq!(inbox.bytes(), b"more");
        inbox.consume(4, &buffers);
        assert!(inbox.is_empty());
        assert_eq!(inbox.buffer.capacity(), 0);

        let waiting = poll_fn(|cx| Poll::Ready(inbox.poll_read(&mut ours, &buffers, cx).is_pending())).await;
        assert!(waiting && inbox.buffer.capacity() == 0, "nobody waits with a buffer in hand");
        drop(peer);
        assert_eq!(poll_fn(|cx| inbox.poll_read(&mut ours, &buffers, cx)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_head_is_taken_away_in_as_little_room_as_it_needs() {
        for size in [1, HEAD, HEAD + 1, READ / 2] {
            let (mut peer, mut ours) = tokio::io::duplex(1 << 20);
            let (buffers, mut inbox) = (Buffers::default(), Inbox::default());
            peer.write_all(&[&b"used"[..], &vec![b'h'; size], b"body"].concat()).await.unwrap();
            assert_eq!(poll_fn(|cx| inbox.poll_read(&mut ours, &buffers, cx)).await.unwrap(), size + 8);
            inbox.consume(4, &buffers);
            let head = inbox.split_off_front(size, &buffers);
            assert!(head.len() == size && head.iter().all(|byte| *byte == b'h'), "{size}");
            assert_eq!(head.capacity(), if size <= HEAD { HEAD } else { READ });
            assert_eq!(inbox.bytes(), b"body");
        }
    }

    #[tokio::test]
    async fn where_much_is_to_come_it_comes_in_large_pieces() {
        let (mut peer, mut ours) = tokio::io::duplex(1 << 20);
        let (buffers, mut inbox) = (Buffers::default(), Inbox::default());
        peer.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
        let mut read =
            async |inbox: &mut Inbox| poll_fn(|cx| inbox.poll_read(&mut ours, &buffers, cx)).await.unwrap();
        assert_eq!(read(&mut inbox).await, READ);
        inbox.consume(READ, &buffers);
        // Nobody knows how much, but the last read was full.
        inbox.expect(None, &buffers);
        assert_eq!(read(&mut inbox).await, BULK);
        inbox.consume(BULK, &buffers);
        inbox.expect(Some(100), &buffers);
        assert_eq!(read(&mut inbox).await, READ);
        inbox.consume(READ, &buffers);
        inbox.expect(Some(1 << 20), &buffers);
        assert_eq!(read(&mut inbox).await, BULK);
    }
}
