//! A body on its way through, whatever frames it.

use crate::chunked::{ChunkError, Chunked, Part};
use crate::framing::{RequestFraming, ResponseFraming};

/// Where a body is between its first and its last byte.
#[derive(Clone, Debug)]
pub struct Body(State);

#[derive(Clone, Debug)]
enum State {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

/// What is wanted of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The content alone.
    Data,
    /// The content in the framing it came in, ready for a peer that was told of the same framing. Extensions and
    /// trailers are left out of it.
    Wire,
}

/// The next of a body: `skip` bytes to pass over, then `take` bytes to use. Both are 0 only where nothing more is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Bytes to pass over.
    pub skip: usize,
    /// Bytes behind those to use.
    pub take: usize,
    /// How many of those are content.
    pub content: usize,
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(State::Done)
    }

    /// The body of a request.
    pub fn of_request(framing: RequestFraming) -> Self {
        match framing {
            RequestFraming::None => Self::empty(),
            RequestFraming::Length(length) => Self::of_length(length),
            RequestFraming::Chunked => Self(State::Chunked(Chunked::default())),
        }
    }

    /// The body of a response.
    pub fn of_response(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None => Self::empty(),
            ResponseFraming::Length(length) => Self::of_length(length),
            ResponseFraming::Chunked => Self(State::Chunked(Chunked::default())),
            ResponseFraming::UntilClose => Self(State::UntilClose),
        }
    }

    fn of_length(length: u64) -> Self {
        Self(if length == 0 { State::Done } else { State::Length(length) })
    }

    /// Whether its last byte has gone by.
    #[inline]
    pub fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// How many bytes are left, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// The next piece of it in `input`, which follows what earlier calls were given. Only what the answer
    /// covers counts as gone by.
    pub fn next(&mut self, input: &[u8], form: Form) -> Result<Piece, ChunkError> {
        let mut piece = Piece::default();
        match &mut self.0 {
            State::Done => {}
            State::UntilClose => piece = Piece { skip: 0, take: input.len(), content: input.len() },
            State::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                piece = Piece { skip: 0, take: count, content: count };
                *left -= count as u64;
                if *left == 0 {
                    self.0 = State::Done;
                }
            }
            State::Chunked(chunked) => {
                piece = in_chunks(chunked, input, form)?;
                if chunked.is_done() {
                    self.0 = State::Done;
                }
            }
        }
        Ok(piece)
    }

    /// The connection has ended: whether that is where the body ends.
    pub fn end(&mut self) -> bool {
        if matches!(self.0, State::UntilClose) {
            self.0 = State::Done;
        }
        self.is_done()
    }
}

fn in_chunks(chunked: &mut Chunked, input: &[u8], form: Form) -> Result<Piece, ChunkError> {
    let mut piece = Piece::default();
    while let Some(next) = input.get(piece.skip + piece.take)
        && !chunked.is_done()
    {
        let part = chunked.part(*next);
        let is_wanted = part == Part::Data || part == Part::Framing && form == Form::Wire;
        if !is_wanted && piece.take > 0 {
            // It ends this piece and is passed over by the next.
            break;
        }
        let count = chunked.advance(&input[piece.skip + piece.take..])?;
        if part == Part::Data {
            piece.content += count;
        }
        if is_wanted {
            piece.take += count;
        } else {
            piece.skip += count;
        }
    }
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_length_takes_what_is_its_own() {
        let mut body = Body::of_request(RequestFraming::Length(5));
        assert_eq!(body.next(b"abc", Form::Wire), Ok(Piece { skip: 0, take: 3, content: 3 }));
        assert_eq!((body.left(), body.is_done()), (Some(2), false));
        assert_eq!(body.next(b"deGET", Form::Wire), Ok(Piece { skip: 0, take: 2, content: 2 }));
        assert!(body.is_done());
        assert_eq!(body.next(b"GET", Form::Wire), Ok(Piece::default()));
    }

    #[test]
    fn only_a_body_without_other_framing_ends_with_its_connection() {
        assert!(Body::of_response(ResponseFraming::UntilClose).end());
        assert!(Body::of_response(ResponseFraming::None).end());
        assert!(!Body::of_response(ResponseFraming::Length(1)).end());
        assert!(!Body::of_response(ResponseFraming::Chunked).end());
        assert!(Body::of_request(RequestFraming::Length(0)).is_done());
    }
}
