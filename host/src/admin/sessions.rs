//! Sessions of people at `admin.listen`: a cookie for who showed an admin key once.
//!
//! They are in memory and end with the host, with the key they began with, and by time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::digest::Digest;
use crate::fault::{Code, Fault};
use crate::keys::{KeyRing, LocalKey};
use crate::secret::Secret;

/// A browser that nobody sits at is a browser that somebody else may sit down at.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// However busy it is.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// More than the people of one host have browsers. The one that was idle longest makes room.
const MOST: usize = 64;

/// All sessions, by the hash of what the cookie holds: whoever reads this memory still has no cookie, and what
/// is looked up by a hash tells nothing by the time it takes.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, Session>>);

struct Session {
    key: Arc<LocalKey>,
    begun: Instant,
    used: Instant,
}

impl Session {
    fn is_alive(&self, now: Instant, ring: &KeyRing) -> bool {
        now - self.begun < LIFE && now - self.used < IDLE && ring.holds(&self.key)
    }
}

/// A session that was found alive.
pub(super) struct Alive {
    /// Whose it is.
    pub(super) key: Arc<LocalKey>,
    /// How long it can still live.
    pub(super) left: Duration,
}

impl Sessions {
    /// Begins one: what its cookie holds.
    pub(super) fn begin(&self, key: Arc<LocalKey>, ring: &KeyRing) -> Result<Secret, Fault> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| {
            Fault::new(Code::Internal, format!("the system gives no randomness: {error}"))
        })?;
        let text = Secret::from(URL_SAFE_NO_PAD.encode(random));
        let now = Instant::now();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.is_alive(now, ring));
        if sessions.len() >= MOST
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(Digest::of(text.expose()), Session { key, begun: now, used: now });
        Ok(text)
    }

    /// The session of a cookie, if it is one and alive. That is a use of it.
    pub(super) fn find(&self, text: &[u8], ring: &KeyRing) -> Option<Alive> {
        let (id, now) = (Digest::of(text), Instant::now());
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&id)?;
        if !session.is_alive(now, ring) {
            sessions.remove(&id);
            return None;
        }
        session.used = now;
        Some(Alive { key: Arc::clone(&session.key), left: LIFE - (now - session.begun) })
    }

    /// Ends one.
    pub(super) fn end(&self, text: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&Digest::of(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NewKey;
    use pretty_assertions::assert_eq;
    use tokio::time::advance;

    fn key(name: &str) -> Arc<LocalKey> {
        Arc::new(NewKey::draw(name.parse().unwrap(), None, true).unwrap().kept)
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_lives_while_it_is_used_but_not_for_ever() {
        let (key, sessions) = (key("ops"), Sessions::default());
        let ring = KeyRing::new([key.clone()]);
        let text = sessions.begin(key, &ring).unwrap();
        assert_eq!(sessions.find(text.expose(), &ring).unwrap().left, LIFE);
        assert!(sessions.find(b"another", &ring).is_none());
        for _ in 0..13 {
            advance(Duration::from_secs(55 * 60)).await;
            assert!(sessions.find(text.expose(), &ring).is_some());
        }
        advance(Duration::from_secs(5 * 60)).await;
        assert!(sessions.find(text.expose(), &ring).is_none(), "12 hours are over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_nobody_uses_it_when_it_is_ended_and_with_its_key() {
        let (key, sessions) = (key("ops"), Sessions::default());
        let ring = KeyRing::new([key.clone()]);
        let begin = || sessions.begin(key.clone(), &ring).unwrap();
        let (idle, ended, revoked) = (begin(), begin(), begin());
        sessions.end(ended.expose());
        assert!(sessions.find(ended.expose(), &ring).is_none());
        assert!(sessions.find(revoked.expose(), &KeyRing::default()).is_none());
        assert!(sessions.find(revoked.expose(), &ring).is_none(), "and it does not come back");
        advance(IDLE).await;
        assert!(sessions.find(idle.expose(), &ring).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_idle_longest_makes_room() {
        let (key, sessions) = (key("ops"), Sessions::default());
        let ring = KeyRing::new([key.clone()]);
        let mut all = Vec::new();
        for _ in 0..MOST {
            all.push(sessions.begin(key.clone(), &ring).unwrap());
            advance(Duration::from_secs(1)).await;
        }
        assert!(sessions.find(all[0].expose(), &ring).is_some(), "used just now");
        let one_more = sessions.begin(key, &ring).unwrap();
        let alive = |text: &Secret| sessions.find(text.expose(), &ring).is_some();
        assert_eq!((alive(&all[0]), alive(&all[1]), alive(&one_more)), (true, false, true));
    }
}
