//! Borrowed views of message heads: all that the decisions see of a request or a response.
//!
//! Guard, route, credential and respond read these and answer plans; they never see a body, a
//! socket or an HTTP library's types. A carrier fills the views and carries the plans out.

mod field;
mod names;
mod via;

pub use field::{Field, FieldSet, Known, Lines, NameSet, same_name, token_list};
pub use names::{
    ACCESS_CONTROL, CLIENT_CREDENTIAL, CLIENT_CREDENTIALS, CONNECTION_SPECIFIC, FETCH_METADATA, FORWARDING,
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
    pub fields: Lines<'a>,
}

/// The head of an upstream response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// The fields in order.
    pub fields: Lines<'a>,
}
