//! Who may ask for what at `admin.listen`.
//!
//! First what the guard checks everywhere: our own names, no page of somebody else, also with a good key.
//! Then a key, or the cookie of a session. That a peer is our own user counts for nothing here: so is every
//! browser, and every tool that a key is for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::request::Parts;

use super::routes::{Access, Operation};
use super::sessions::{Alive, LIFE, Sessions};
use super::throttle::Throttle;
use crate::carrier::head;
use crate::fault::Fault;
use crate::guard::{self, Caller};
use crate::keys::LocalKey;
use crate::message::{Entry, Local, RequestHead, Via};
use crate::proxy::Rules;
use crate::refusal::{ApiRefusal, Refusal, Why};
use crate::secret::Secret;

/// The way into the API over TCP: what all its connections have in common.
pub struct Entrance {
    /// The names of the host, and its keys, as configured now.
    rules: Arc<ArcSwap<Rules>>,
    sessions: Sessions,
    throttle: Throttle,
}

/// One connection through it.
pub(super) struct Visit {
    pub(super) entrance: Arc<Entrance>,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

/// Who asks, as far as they had to show it.
pub(super) enum Visitor {
    /// Anybody.
    Unknown,
    /// Somebody with this key.
    Key(Arc<LocalKey>),
    /// Somebody with this cookie.
    Session(Alive),
}

impl Entrance {
    /// An entrance under the rules of the proxy.
    pub fn new(rules: Arc<ArcSwap<Rules>>) -> Self {
        Self { rules, sessions: Sessions::default(), throttle: Throttle::default() }
    }

    /// The key that a request shows, if it shows a good one. Wrong ones are counted.
    fn key(&self, head: &RequestHead<'_>, peer: IpAddr) -> Result<Arc<LocalKey>, ApiRefusal> {
        let keys = &self.rules.load().guard.keys;
        let found = guard::key_of(head, keys);
        if found == Err(Refusal::KeyRequired) {
            return Err(refused(Refusal::KeyRequired));
        }
        // Who waits is not told whether this one would have been good.
        self.throttle.check(peer).map_err(|after| ApiRefusal::of(Why::TooMany { after }, WAIT))?;
        found.map_err(|refusal| {
            self.throttle.failed(peer);
            tracing::warn!(%peer, "a wrong key at admin.listen");
            refused(refusal)
        })
    }
}

const WAIT: &str = "too many wrong keys came from this address";

impl Visit {
    /// Refuses what was not meant for us or is the doing of a foreign page. Before anything else.
    pub(super) fn check_source(&self, parts: &Parts) -> Result<Caller, ApiRefusal> {
        let via = Via {
            local: Local::Tcp(self.local),
            dedicated: None,
            http2: false,
            exposed: !self.local.ip().is_loopback(),
            entry: Entry::Stranger,
        };
        let rules = self.entrance.rules.load();
        with_head(parts, |head| guard::check_source(head, &via, &rules.guard.allowed_hosts)).map_err(refused)
    }

    /// Who asks for an operation, if they may.
    pub(super) fn admit(
        &self,
        parts: &Parts,
        caller: Caller,
        operation: &Operation,
    ) -> Result<Visitor, ApiRefusal> {
        if operation.access == Access::Open {
            return Ok(Visitor::Unknown);
        }
        let visitor = match with_head(parts, |head| self.entrance.key(head, self.peer.ip())) {
            Ok(key) => Visitor::Key(key),
            Err(refusal) => match self.session(parts) {
                Some(session) => Visitor::Session(session),
                None => return Err(refusal),
            },
        };
        match &visitor {
            // A cookie comes along with whatever a browser sends; that it was our own page must be said, not
            // only not be denied, where something changes (RFC 9110 section 9.2.1).
            Visitor::Session(_) if operation.method != "GET" && caller != Caller::OwnPage => {
                return Err(refused(Refusal::OriginNotAllowed));
            }
            Visitor::Key(key) if !may_ask(key, operation.access) => return Err(not_admin(key)),
            Visitor::Session(_) | Visitor::Key(_) | Visitor::Unknown => {}
        }
        match operation.access {
            Access::Local => Err(only_local(operation)),
            Access::Open | Access::Known | Access::Admin => Ok(visitor),
        }
    }

    /// The session of the cookie that came along.
    fn session(&self, parts: &Parts) -> Option<Alive> {
        let rules = self.entrance.rules.load();
        self.entrance.sessions.find(self.cookie(parts)?, &rules.guard.keys.now())
    }

    fn cookie<'a>(&self, parts: &'a Parts) -> Option<&'a [u8]> {
        let name = cookie_name(self.local.port());
        let cookies = parts.headers.get_all(http::header::COOKIE).into_iter();
        let mut pairs = cookies.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        pairs.find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// Begins a session for who showed a key: the value of `Set-Cookie`, and how long it lives.
    pub(super) fn begin_session(&self, key: &Arc<LocalKey>) -> Result<(Secret, Duration), Fault> {
        let rules = self.entrance.rules.load();
        let text = self.entrance.sessions.begin(Arc::clone(key), &rules.guard.keys.now())?;
        let text = String::from_utf8_lossy(text.expose()).into_owned();
        Ok((self.set_cookie(&text, LIFE), LIFE))
    }

    /// Ends the session of the cookie that came along: the value of `Set-Cookie`.
    pub(super) fn end_session(&self, parts: &Parts) -> Secret {
        if let Some(cookie) = self.cookie(parts) {
            self.entrance.sessions.end(cookie);
        }
        self.set_cookie("", Duration::ZERO)
    }

    /// Without `Secure`, and so without the prefix `__Host-`: this listener has no TLS, and not every browser
    /// takes loopback for secure.
    fn set_cookie(&self, text: &str, life: Duration) -> Secret {
        let (name, seconds) = (cookie_name(self.local.port()), life.as_secs());
        Secret::from(format!("{name}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"))
    }
}

/// With the port: browsers give the cookies of one port to all ports of a host (RFC 6265 section 8.5).
pub(super) fn cookie_name(port: u16) -> String {
    format!("ccproxy-session-{port}")
}

fn with_head<T>(parts: &Parts, ask: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let (target, fields) = (head::target(parts), head::fields(&parts.headers));
    ask(&head::view(parts, &target, &fields))
}

/// Whether a key is good for this. One for some routes is for nothing else.
fn may_ask(key: &LocalKey, access: Access) -> bool {
    match access {
        Access::Open => true,
        Access::Known => key.routes.is_none(),
        Access::Admin | Access::Local => key.admin,
    }
}

fn refused(refusal: Refusal) -> ApiRefusal {
    ApiRefusal::of(Why::Guard(Box::new(refusal)), "")
}

fn not_admin(key: &LocalKey) -> ApiRefusal {
    let refusal = ApiRefusal::of(Why::NotAdmin, format!("the key `{}` may not administer", key.name));
    ApiRefusal { fault: refusal.fault.hint("ccproxy key create NAME --admin"), ..refusal }
}

fn only_local(operation: &Operation) -> ApiRefusal {
    let message = format!("`{}` is answered on the Unix socket only", operation.path);
    ApiRefusal::of(Why::TurnedOff, message)
}
