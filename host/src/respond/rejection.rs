//! What an upstream 401 says about the credential we attached.

use std::time::Duration;

use crate::credential::Prepared;
use crate::model::UnixMillis;

/// A server that rejects a token this young does not reject it for its age: another would fare no better.
const YOUNG: Duration = Duration::from_secs(5);

/// What follows from a response's status for the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Nothing: relay the response.
    None,
    /// The credential seems dead: get another, and replay the request if it can be replayed.
    Renew,
}

/// Judges a response. Only 401 counts: a 403 is an answer to somebody the upstream recognised.
/// A second 401, to a replay, is the client's.
pub fn rejection(status: u16, sent: &Prepared, is_replay: bool, now: UnixMillis) -> Rejection {
    let old_enough = sent.acquired_at.until(now) >= YOUNG;
    if status == 401 && !is_replay && old_enough { Rejection::Renew } else { Rejection::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_401_to_a_token_of_some_age_renews_it() {
        let sent = Prepared {
            fields: vec![],
            query: vec![],
            expires_at: None,
            generation: 1,
            acquired_at: UnixMillis(10_000),
        };
        let renews =
            |status, is_replay, now| rejection(status, &sent, is_replay, UnixMillis(now)) == Rejection::Renew;
        assert!(renews(401, false, 15_000));
        assert!(!renews(401, false, 14_999));
        assert!(!renews(401, true, 15_000));
        assert!(!renews(403, false, 15_000));
        assert!(!renews(200, false, 15_000));
    }
}
