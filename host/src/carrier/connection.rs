//! One client that speaks HTTP/1.1: its requests, one after the other.
//!
//! In two stages. Between requests the task holds the socket and little else; what a request needs is boxed and exists
//! while it is under way.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ccproxy_h1::{HeadEnd, Inbox};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::conn::{Conn, Heard};
use super::http1::{Next, Request, refusal_of_head};
use super::leave::Leave;
use super::serve::{CLIENT_IDLE, Connected};
use super::source::Source;
use super::stream::ClientStream;
use crate::message::Via;
use crate::refusal::Refusal;

/// How long, and for how much, a client is read from that was told that nothing more is read: until it has seen that.
const FAREWELL: Duration = Duration::from_secs(2);
const FAREWELL_BYTES: usize = 16 * 1024 * 1024;

/// One client's connection, to its end, which is near once it is time to leave.
pub(super) struct Connection {
    request: Rc<Request>,
    stage: Stage,
}

/// Where a connection is.
enum Stage {
    /// Between two requests.
    Listens { search: HeadEnd, deadline: Instant },
    /// At a request, whose stage lives in a box of its own: it is many times the size of all else here.
    Answers(Pin<Box<dyn Future<Output = Next>>>),
    /// At its end. So much is read yet, until then.
    Leaves { left: usize, deadline: Instant },
}

impl Connection {
    /// A connection from which that much was read.
    pub(super) fn new(
        client: Connected,
        via: Rc<Via>,
        (stream, read_ahead): (ClientStream, Vec<u8>),
        leave: Leave,
    ) -> Self {
        let worker = client.worker();
        let conn = Conn::new(stream, worker.buffers.clone(), Inbox::from(read_ahead));
        let conn = Rc::new(RefCell::new(conn));
        let (body, alarm) = (Source::http1(conn.clone()), Alarm::new(&worker.alarms));
        let stage = Stage::listens(worker.clock.read());
        Self { request: Rc::new(Request { client, via, conn, body, alarm, leave }), stage }
    }

    /// Waits for a head. Nothing comes of it if the client is silent for too long, or is between two requests when it is
    /// time to leave.
    fn poll_heard(
        request: &Request,
        search: &mut HeadEnd,
        deadline: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Heard>> {
        let mut conn = request.conn.borrow_mut();
        if let Poll::Ready(heard) = conn.poll_head(search, cx) {
            return Poll::Ready(Some(heard));
        }
        if request.leave.has_come() && conn.is_silent() {
            return Poll::Ready(None);
        }
        request.alarm.poll(deadline, cx).map(|()| (!conn.is_silent()).then_some(Heard::Late))
    }
}

impl Stage {
    fn listens(now: Instant) -> Self {
        Self::Listens { search: HeadEnd::default(), deadline: now + CLIENT_IDLE }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { request, stage } = &mut *self;
        loop {
            match stage {
                Stage::Listens { search, deadline } => {
                    let head = match ready!(Self::poll_heard(request, search, *deadline, cx)) {
                        Some(Heard::Closed) | None => return Poll::Ready(()),
                        Some(Heard::Head(head)) => Ok(head),
                        Some(Heard::Nonsense(error)) => Err(refusal_of_head(error)),
                        Some(Heard::Late) => Err(Refusal::RequestTimeout),
                    };
                    *stage = Stage::Answers(Box::pin(request.clone().serve(head)));
                }
                Stage::Answers(answered) => match ready!(answered.as_mut().poll(cx)) {
                    Next::Request => *stage = Stage::listens(request.client.worker().clock.last()),
                    Next::Nothing => return Poll::Ready(()),
                    Next::Farewell => {
                        let deadline = request.client.worker().clock.read() + FAREWELL;
                        *stage = Stage::Leaves { left: FAREWELL_BYTES, deadline };
                    }
                },
                Stage::Leaves { left, deadline } => {
                    return match request.conn.borrow_mut().poll_farewell(left, cx) {
                        Poll::Ready(()) => Poll::Ready(()),
                        Poll::Pending => request.alarm.poll(*deadline, cx),
                    };
                }
            }
        }
    }
}
