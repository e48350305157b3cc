//! Why a request gets an answer of ours instead of the upstream's.
//!
//! Every stage may refuse; `respond/` alone turns a refusal into a status and a body.

use std::time::Duration;

use crate::fault::{Code, Fault};
use crate::model::Name;

/// A refusal. Holds nothing of the request: a reply must not repeat what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head breaks the protocol, or a server behind us might read it otherwise than we do.
    Malformed(&'static str),
    /// The request target is longer than [`crate::guard::MAX_TARGET`].
    TargetTooLong,
    /// More fields, or larger ones, than we read.
    HeadTooLarge,
    /// A body for one of our own paths that is larger than they take.
    BodyTooLarge,
    /// `Expect` wants something other than 100-continue.
    ExpectationFailed,
    /// A transfer coding other than chunked.
    TransferCoding,
    /// Another version than HTTP/1.1 and HTTP/1.0, on a connection that is not HTTP/2.
    Version,
    /// A name that is not ours: DNS rebinding, or a host missing in `server.allowed_hosts`.
    HostNotAllowed,
    /// A web page that is not in `server.allowed_origins`.
    OriginNotAllowed,
    /// Not our user's socket, or nobody enters without one, and no key.
    KeyRequired,
    /// What was sent is no key of ours, or none any more.
    KeyInvalid,
    /// The key is for other routes.
    RouteNotAllowed {
        /// What it is called.
        key: Name,
    },
    /// TRACE and CONNECT, or not in the route's `methods`.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: String,
    },
    /// No route has this path.
    NoSuchRoute {
        /// What to do about it.
        hint: String,
    },
    /// The client stopped sending its body.
    RequestTimeout,
    /// The host is going down.
    Draining,
    /// There is no credential, and why.
    Credential(Fault),
    /// There was none within the time a request may wait for one.
    CredentialTimeout,
    /// The upstream cannot be reached.
    UpstreamConnect,
    /// It can, but TLS with it failed.
    UpstreamTls,
    /// What it said is not HTTP, or broke off before the head was complete.
    UpstreamProtocol,
    /// It said nothing in time.
    UpstreamTimeout,
    /// A bug of ours.
    Internal,
}

impl Refusal {
    /// Whether nothing more is read from an HTTP/1.1 client: who breaks the framing of a message, or may have,
    /// could mean by the bytes that follow another request than we read there (RFC 9112 section 6.3).
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::BodyTooLarge
            | Self::ExpectationFailed
            | Self::TransferCoding
            | Self::Version
            | Self::RequestTimeout => true,
            Self::HostNotAllowed
            | Self::OriginNotAllowed
            | Self::KeyRequired
            | Self::KeyInvalid
            | Self::RouteNotAllowed { .. }
            | Self::MethodNotAllowed { .. }
            | Self::NoSuchRoute { .. }
            | Self::Draining
            | Self::Credential(_)
            | Self::CredentialTimeout
            | Self::UpstreamConnect
            | Self::UpstreamTls
            | Self::UpstreamProtocol
            | Self::UpstreamTimeout
            | Self::Internal => false,
        }
    }
}

/// Why the admin API does not do what it was asked to. What is wrong is told by a fault; the code of a
/// failure stays that of the taxonomy, because commands exit by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRefusal {
    /// Of which kind it is.
    pub why: Why,
    /// What is wrong and what to do.
    pub fault: Fault,
}

/// The kinds of refusals of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was tried and failed.
    Failed,
    /// What was sent cannot be meant.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// It is in the way of something that is there.
    Conflict,
    /// It makes sense, but not with what there is: told with the code of its failure, as commands exit by it.
    Unfit,
    /// The path has other methods.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: String,
    },
    /// The body is not JSON.
    MediaType,
    /// The body is larger than we read.
    TooLarge,
    /// The configuration does not allow it.
    TurnedOff,
    /// The guard does not let it in.
    Guard(Box<Refusal>),
    /// The key is for the proxy.
    NotAdmin,
    /// Too many wrong keys.
    TooMany {
        /// How long to wait.
        after: Duration,
    },
}

impl ApiRefusal {
    /// A refusal of this kind.
    pub fn new(why: Why, fault: Fault) -> Self {
        Self { why, fault }
    }

    /// A refusal that needs no more than a sentence.
    pub fn of(why: Why, message: impl Into<String>) -> Self {
        Self::new(why, Fault::new(Code::InvalidConfig, message))
    }
}

impl From<Fault> for ApiRefusal {
    fn from(fault: Fault) -> Self {
        Self::new(Why::Failed, fault)
    }
}
