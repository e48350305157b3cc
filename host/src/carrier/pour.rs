//! A response's body on its way into the client's connection, while what is left of the request goes the other way.

use std::future::poll_fn;
use std::task::Poll;

use ccproxy_h1::{Form, Outbox, ResponseFraming, Version, write};

use super::alarm::Alarm;
use super::body::RelayedBody;
use super::conn::Shared;
use super::exchange::Passing;
use super::head::Follows;

/// How a body is put into the client's connection.
#[derive(Clone, Copy)]
pub(super) struct Coding {
    pub(super) follows: Follows,
    form: Form,
}

impl Coding {
    pub(super) const AS_IT_IS: Self = Self { follows: Follows::AsSaid, form: Form::Data };

    /// For a client of this version.
    pub(super) fn of(passing: &Passing<'_>, client: Version) -> Self {
        match passing.framing {
            ResponseFraming::None => Self::AS_IT_IS,
            ResponseFraming::Length(length) if !passing.rewritten => {
                Self { follows: Follows::Length(length), form: Form::Data }
            }
            // Before HTTP/1.1 only the end of the connection ends a body of unknown length.
            _ if client == Version::Http10 => Self { follows: Follows::UntilClose, form: Form::Data },
            ResponseFraming::Chunked if !passing.rewritten => {
                Self { follows: Follows::Chunks, form: Form::Wire }
            }
            _ => Self { follows: Follows::Chunks, form: Form::Data },
        }
    }
}

/// Why a response did not reach the client whole.
pub(super) enum Spilled {
    /// Nobody is there to read it.
    ClientGone,
    /// The upstream broke off, and how.
    Upstream(String),
}

/// Moves a body to the client, and what is left of the client's to the upstream, both at once.
pub(super) async fn pour(
    conn: &Shared,
    outbox: &mut Outbox,
    body: &mut RelayedBody,
    (coding, alarm): (Coding, &Alarm),
) -> Result<(), Spilled> {
    let in_chunks = coding.follows == Follows::Chunks && coding.form == Form::Data;
    let (mut piece, mut end) = (0, None);
    poll_fn(|cx| {
        loop {
            if end.is_none() && piece == 0 && outbox.takes_piece() {
                match body.poll_piece(coding.form, alarm, cx) {
                    Poll::Ready(Some(Ok(()))) => {
                        piece = body.piece().len();
                        if in_chunks {
                            write::chunk_size(outbox.front(), piece);
                            outbox.follow_with(b"\r\n");
                        }
                    }
                    Poll::Ready(Some(Err(error))) => end = Some(Err(Spilled::Upstream(error.to_string()))),
                    Poll::Ready(None) => {
                        end = Some(Ok(()));
                        if in_chunks {
                            outbox.front().extend_from_slice(write::LAST_CHUNK);
                        }
                    }
                    Poll::Pending => {}
                }
            }
            let mut client = conn.borrow_mut();
            if piece > 0 || !outbox.is_empty() {
                match client.poll_write(outbox, &body.piece()[..piece], cx) {
                    Poll::Ready(Ok(0)) => {}
                    Poll::Ready(Ok(count)) => {
                        piece -= count;
                        body.consume(count);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Spilled::ClientGone)),
                    Poll::Pending => {
                        drop(client);
                        // A client that does not read may still be writing.
                        body.poll_send(cx);
                        let silence = body.poll_silence(alarm, cx);
                        return silence.map(|error| Err(Spilled::Upstream(error.to_string())));
                    }
                }
            } else if let Some(end) = end.take() {
                return Poll::Ready(end);
            } else {
                return client.poll_gone(cx).map(|()| Err(Spilled::ClientGone));
            }
        }
    })
    .await
}
