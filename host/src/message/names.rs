//! Groups of field names that every stage means the same by.

use super::Known::{self, *};
use super::NameSet;

/// Fields that end at this hop, in requests and responses alike (RFC 9110 section 7.6.1), or that we write ourselves
/// (`Host`, framing).
pub const CONNECTION_SPECIFIC: NameSet = NameSet::of(&[
    Connection,
    ContentLength,
    Expect,
    Host,
    Http2Settings,
    KeepAlive,
    ProxyAuthorization,
    ProxyOther,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
]);

/// Where clients put the dummy key their SDK demands.
pub const CLIENT_CREDENTIALS: [Known; 6] =
    [Authorization, XApiKey, ApiKey, XGoogApiKey, PrivateToken, ProxyAuthorization];

/// The same as a set.
pub const CLIENT_CREDENTIAL: NameSet = NameSet::of(&CLIENT_CREDENTIALS);

/// Statements about the hop before us. No upstream may believe a client's, and ours are nobody's business.
pub const FORWARDING: NameSet =
    NameSet::of(&[Forwarded, XRealIp, XForwardedOther, XOriginalOther, XRewriteOther]);

/// What browsers say of where a request comes from.
pub const FETCH_METADATA: NameSet = NameSet::of(&[SecFetchDest, SecFetchMode, SecFetchSite, SecFetchOther]);

/// What is between a browser and the server that it calls (Fetch standard, CORS protocol).
pub const ACCESS_CONTROL: NameSet =
    NameSet::of(&[AccessControlOther, AccessControlRequestHeaders, AccessControlRequestMethod]);

#[cfg(test)]
mod tests;
