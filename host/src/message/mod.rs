//! Borrowed views of message heads: all that the decisions see of a request or a response.
//!
//! Guard, route, credential and respond read these and answer plans; they never see a body, a
//! socket or an HTTP library's types. A carrier fills the views and carries the plans out.

mod field;
mod names;
mod via;

pub use field::{Field, FieldSet, token_list};
pub use names::{
    CLIENT_CREDENTIALS, canonical, folded_eq, has_prefix, is_client_credential, is_connection_specific,
    is_one_of,
};
pub use via::{Entry, Local, Via};

/// The protocol version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// The head of a request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method, case as sent.
    pub method: &'a [u8],
    /// The request target in whatever form was sent; for HTTP/2 the `:path`.
    pub target: &'a [u8],
    /// Its version.
    pub version: Version,
    /// The `:authority` of HTTP/2.
    pub authority: Option<&'a [u8]>,
    /// The fields in order. At most [`FieldSet::CAPACITY`] get past the guard.
    pub fields: &'a [Field<'a>],
}

impl<'a> RequestHead<'a> {
    /// The values of every field of this name (lower case).
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.iter().filter(move |field| field.is(name)).map(|field| field.value)
    }
}

/// The head of an upstream response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// The fields in order.
    pub fields: &'a [Field<'a>],
}
