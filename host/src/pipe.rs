//! Connections in memory, for tests. They behave as sockets do, and live in the virtual time of a paused clock, which
//! goes on only while nobody has anything left to do: what has not happened by then does not happen by itself.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};

/// Who asks for connections, and gets none if the other side drops the question.
pub(crate) type Asking = mpsc::UnboundedSender<oneshot::Sender<End>>;
/// Who is asked.
pub(crate) type Asked = mpsc::UnboundedReceiver<oneshot::Sender<End>>;

/// One end of a connection.
pub(crate) struct End {
    /// 0 or 1: which of the two ways leads away from here.
    away: usize,
    both: Arc<Mutex<[Way; 2]>>,
    resets: bool,
}

/// The bytes in one direction.
struct Way {
    bytes: VecDeque<u8>,
    room: usize,
    /// Its writer has ended it.
    ended: bool,
    /// Its reader is gone.
    unheard: bool,
    /// The connection was broken off.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A connection that holds so many bytes in either direction.
pub(crate) fn pair(room: usize) -> (End, End) {
    let way = || Way {
        bytes: VecDeque::new(),
        room,
        ended: false,
        unheard: false,
        reset: false,
        reader: None,
        writer: None,
    };
    let both = Arc::new(Mutex::new([way(), way()]));
    let end = |away| End { away, both: both.clone(), resets: false };
    (end(0), end(1))
}

impl End {
    /// Closing is to look like the failure it is.
    pub(crate) fn reset_when_closed(&mut self) {
        self.resets = true;
    }

    /// Breaks off at once: what is on its way is lost, and both ends see a failure.
    pub(crate) fn break_off(&self) {
        for way in &mut *self.ways() {
            way.bytes.clear();
            way.reset = true;
            way.wake();
        }
    }

    fn ways(&self) -> MutexGuard<'_, [Way; 2]> {
        self.both.lock().unwrap()
    }
}

impl Way {
    fn wake(&mut self) {
        [self.reader.take(), self.writer.take()].into_iter().flatten().for_each(Waker::wake);
    }
}

/// Closing a socket that holds unread bytes resets the connection, and takes from the peer what it has not read.
impl Drop for End {
    fn drop(&mut self) {
        let has_unread = !self.ways()[1 - self.away].bytes.is_empty();
        if has_unread || self.resets {
            self.break_off();
        }
        let mut ways = self.ways();
        ways[self.away].ended = true;
        ways[1 - self.away].unheard = true;
        ways.iter_mut().for_each(Way::wake);
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let way = &mut self.ways()[1 - self.away];
        if way.bytes.is_empty() {
            return match (way.reset, way.ended) {
                (true, _) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
                (false, true) => Poll::Ready(Ok(())),
                (false, false) => {
                    way.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let mut count = 0;
        for part in <[&[u8]; 2]>::from(way.bytes.as_slices()) {
            let part = &part[..part.len().min(buf.remaining())];
            buf.put_slice(part);
            count += part.len();
        }
        way.bytes.drain(..count);
        way.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let way = &mut self.ways()[self.away];
        if way.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if way.unheard || way.ended {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if way.bytes.len() == way.room {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = way.bytes.len();
        for buf in bufs {
            let count = buf.len().min(way.room - way.bytes.len());
            way.bytes.extend(&buf[..count]);
        }
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(way.bytes.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let way = &mut self.ways()[self.away];
        way.ended = true;
        way.wake();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn what_does_not_fit_waits_for_the_reader() {
        let (mut one, mut other) = pair(3);
        let writing = tokio::spawn(async move {
            one.write_all(b"hello").await.unwrap();
        });
        let mut read = String::new();
        other.read_to_string(&mut read).await.unwrap();
        writing.await.unwrap();
        assert_eq!(read, "hello");
    }

    #[tokio::test]
    async fn an_end_that_is_closed_is_heard_to_its_last_byte_unless_it_left_something_unread() {
        let (mut one, mut other) = pair(100);
        one.write_all(b"bye").await.unwrap();
        drop(one);
        let mut read = String::new();
        other.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "bye");
        assert_eq!(other.write_all(b"late").await.unwrap_err().kind(), ErrorKind::BrokenPipe);

        let (mut one, mut other) = pair(100);
        one.write_all(b"bye").await.unwrap();
        other.write_all(b"unread").await.unwrap();
        drop(one);
        assert_eq!(other.read_to_string(&mut read).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn either_half_can_be_ended_alone() {
        let (mut one, mut other) = pair(100);
        one.shutdown().await.unwrap();
        other.write_all(b"still here").await.unwrap();
        assert_eq!(other.read(&mut [0]).await.unwrap(), 0);
        drop(other);
        let mut read = String::new();
        one.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "still here");
    }
}
