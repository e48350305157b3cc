//! What a client's bytes come over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket. An enum, not a trait object: reads and writes are the hot path.
pub(crate) enum ClientStream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// A test's.
    #[cfg(test)]
    Memory(crate::pipe::End),
}

impl ClientStream {
    /// Makes closing look like the failure it is, where nothing else tells the client that a response is not whole: a
    /// body that ends with its connection, and broke off.
    pub(super) fn reset_when_closed(&mut self) {
        match self {
            // It fails only on a connection that is gone.
            Self::Tcp(tcp) => drop(tcp.set_zero_linger()),
            Self::Unix(_) => {}
            #[cfg(test)]
            Self::Memory(end) => end.reset_when_closed(),
        }
    }
}

impl From<TcpStream> for ClientStream {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(tcp)
    }
}

impl From<UnixStream> for ClientStream {
    fn from(unix: UnixStream) -> Self {
        Self::Unix(unix)
    }
}

#[cfg(test)]
impl From<crate::pipe::End> for ClientStream {
    fn from(end: crate::pipe::End) -> Self {
        Self::Memory(end)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            #[cfg(test)]
            Self::Memory(end) => Pin::new(end).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
            #[cfg(test)]
            Self::Memory(end) => Pin::new(end).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
            #[cfg(test)]
            Self::Memory(end) => Pin::new(end).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
            #[cfg(test)]
            Self::Memory(end) => Pin::new(end).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            #[cfg(test)]
            Self::Memory(end) => Pin::new(end).poll_shutdown(cx),
        }
    }
}
