//! What the proxy would do with a request: the decisions that it would make itself, on a head made for the
//! purpose. Nothing is sent, no credential is acquired.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::reload::Made;
use super::{App, ConnectionStatus};
use crate::credential::{self, Prepared};
use crate::fault::{Code, Fault};
use crate::guard::{Access, MAX_FIELDS};
use crate::login::nearest;
use crate::message::{CLIENT_CREDENTIALS, Entry, Field, Lines, Local, RequestHead, Version, Via};
use crate::model::{ConnectionId, Name, UnixMillis};
use crate::proxy::{Decision, Own, RequestPlan, Rules, subject};
use crate::refusal::Refusal;
use crate::respond::problem;
use crate::route::{Forward, Mount, OwnPath, Route};
use crate::upstream::Origin;
use crate::vault::State;

/// Fields besides credentials that a route may keep from its upstream.
const JUDGED: [&[u8]; 5] = [b"accept-encoding", b"cookie", b"forwarded", b"x-forwarded-for", b"x-real-ip"];

/// A request to explain, of a process of our own user.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Host and port, as in `Host`.
    pub authority: &'a str,
    /// Path and query, byte for byte.
    pub target: &'a str,
    /// Where it would come in.
    pub local: Local,
    /// The route that has this listener to itself.
    pub dedicated: Option<Name>,
}

/// The rules that a host of this configuration would have.
pub struct Explainer<'a> {
    app: &'a App,
    rules: Rules,
    asks_for_key: bool,
}

/// What would come of a request.
pub struct Explanation {
    /// What is done with it.
    pub outcome: Outcome,
    /// The route that it takes.
    pub route: Option<Arc<Route>>,
    /// How it goes on, where a route leads somewhere.
    pub onward: Option<Onward>,
    /// How the route's connection stands.
    pub standing: Option<ConnectionStatus>,
    /// The path of a route that may have been meant, where none was found.
    pub nearest: Option<Name>,
    /// Whether it gets in with a local key only.
    pub asks_for_key: bool,
}

/// What is done with a request.
pub enum Outcome {
    /// It goes upstream.
    Forward,
    /// ccproxy answers itself.
    Own(String),
    /// It is refused.
    Refuse(Refusal),
}

/// A request on its way upstream.
pub struct Onward {
    /// By what the route was found: `path`, `host` or `listener`.
    pub matched_by: &'static str,
    /// Scheme, authority and path. The query is nobody's business.
    pub upstream: String,
    /// For what the credential is.
    pub target: String,
    /// Fields of clients that would not go along.
    pub removed: Vec<String>,
    /// Fields that the provider carries credentials in; a credential has one of them, or several.
    pub added: Vec<String>,
}

/// A route whose upstream was typed in the place of ccproxy's URL.
pub struct Around {
    /// The route's path.
    pub path: Name,
    /// The rest, below the route.
    pub rest: String,
}

impl App {
    /// Makes the rules, which loads the plugins of all connections. What no host would start with is refused.
    pub async fn explainer(&self) -> Result<Explainer<'_>, Fault> {
        let config = self.config();
        self.check(&config, &Made::default()).await?;
        let mut rules = self.prepare(config, &Made::default()).await?.rules;
        // What is asked is what becomes of a request that gets in.
        let asks_for_key = rules.guard.access == Access::Key;
        rules.guard.access = Access::SameUser;
        Ok(Explainer { app: self, rules, asks_for_key })
    }
}

impl Explainer<'_> {
    /// Decides on a request as the proxy would, but for the state of its credential.
    pub fn explain(&self, asked: &Asked<'_>) -> Explanation {
        let fields = self.fields(asked);
        let head = RequestHead {
            method: asked.method.as_bytes(),
            target: asked.target.as_bytes(),
            version: Version::Http11,
            authority: None,
            fields: Lines::of(&fields),
        };
        let via = Via {
            local: asked.local,
            dedicated: asked.dedicated.clone(),
            http2: false,
            exposed: false,
            entry: Entry::SameUser,
        };
        let (outcome, route, onward) = match self.rules.decide(&head, &via) {
            Decision::Forward(plan) => {
                let onward = self.onward(&plan, head.fields, asked.dedicated.is_some());
                (Outcome::Forward, Some(plan.route), Some(onward))
            }
            Decision::Own(own) => (self.own(&own), None, None),
            Decision::Refuse(refusal, route) => (Outcome::Refuse(refusal), route, None),
        };
        let lost = route.is_none() && matches!(outcome, Outcome::Refuse(Refusal::NoSuchRoute { .. }));
        let nearest = if lost { self.nearest(asked.target) } else { None };
        Explanation { outcome, route, onward, standing: None, nearest, asks_for_key: self.asks_for_key }
    }

    /// One field of every name that the proxy has an opinion on.
    fn fields<'a>(&'a self, asked: &Asked<'a>) -> Vec<Field<'a>> {
        let mut names: Vec<&[u8]> =
            CLIENT_CREDENTIALS.iter().map(|known| known.name().as_bytes()).chain(JUDGED).collect();
        for name in self.rules.routes.credential_fields() {
            if !names.contains(&name) && names.len() + 1 < MAX_FIELDS {
                names.push(name);
            }
        }
        let judged = names.into_iter().map(|name| Field::new(name, b"x"));
        std::iter::once(Field::new(b"host", asked.authority.as_bytes())).chain(judged).collect()
    }

    fn onward(&self, plan: &RequestPlan<'_>, fields: Lines<'_>, dedicated: bool) -> Onward {
        let added = self.injected(&plan.route);
        let credential = named(&added);
        let outgoing = plan.outgoing(fields, &credential);
        let target = outgoing.target.to_vec();
        let gone = |(index, _): &(usize, &Field<'_>)| !outgoing.fields.contains(*index);
        // The first is `Host`, which is written anew.
        let removed = fields.iter().enumerate().skip(1).filter(gone);
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        Onward {
            matched_by: match (plan.client().mount, dedicated) {
                (Mount::Path, _) => "path",
                (Mount::Root, false) => "host",
                (Mount::Root, true) | (Mount::Upstream, _) => "listener",
            },
            upstream: format!("{}{}", plan.to.base.origin(), String::from_utf8_lossy(path)),
            target: plan.to.cell.key().target.to_string(),
            removed: removed.map(|(_, field)| String::from_utf8_lossy(field.name).into_owned()).collect(),
            added,
        }
    }

    /// The fields in which the provider of a route may carry a credential.
    fn injected(&self, route: &Route) -> Vec<String> {
        let manifests = self.app.registry().manifests();
        let manifest = route.provider.as_ref().and_then(|provider| manifests.get(provider));
        manifest.map(|manifest| manifest.injected_fields.clone()).unwrap_or_default()
    }

    fn own(&self, own: &Own<'_>) -> Outcome {
        let plugin = |id: &str, rest: &[u8]| {
            let path = std::str::from_utf8(rest).ok()?.strip_prefix('/')?;
            self.app.registry().declaring(id, path)
        };
        Outcome::Own(match own {
            Own::Preflight(_) => "a CORS preflight".into(),
            Own::MissingSlash(_) => "308: the same with a slash at the end of its path".into(),
            Own::Path(_, OwnPath::Index) => "the list of routes".into(),
            Own::Path(_, OwnPath::Live) => "200 while the process lives".into(),
            Own::Path(_, OwnPath::Ready) => "200 unless the host is going down".into(),
            Own::Path(_, OwnPath::Callback) => "the end of a login that was started through the host".into(),
            Own::Path(_, OwnPath::Plugin { id, rest }) => match plugin(id, rest) {
                Some(id) => format!("what the plugin `{id}` says"),
                None => {
                    let hint = "nothing answers at this path".into();
                    return Outcome::Refuse(Refusal::NoSuchRoute { hint });
                }
            },
        })
    }

    fn nearest(&self, target: &str) -> Option<Name> {
        let segment = target.split(['/', '?']).nth(1).filter(|segment| !segment.is_empty())?;
        let paths = self.rules.routes.routes().map(|route| route.path.as_str());
        nearest(&segment.to_ascii_lowercase(), paths).and_then(|near| near.parse().ok())
    }

    /// The routes that lead to a URL of an upstream, the closest first.
    pub fn around(&self, scheme: &str, authority: &str, target: &str) -> Vec<Around> {
        let origin = Url::parse(&format!("{scheme}://{authority}")).ok();
        let Some(origin) = origin.and_then(|url| Origin::of(&url).ok()) else { return Vec::new() };
        let path = target.split('?').next().unwrap_or_default();
        let mut found: Vec<(usize, Around)> = Vec::new();
        for route in self.rules.routes.routes() {
            let Forward::To(to) = &route.forward else { continue };
            let rest = path.strip_prefix(to.base.path()).filter(|_| *to.base.origin() == origin);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                let rest = if rest.is_empty() { "/" } else { rest };
                let around = Around { path: route.path.clone(), rest: rest.to_owned() };
                found.push((to.base.path().len(), around));
            }
        }
        found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        found.into_iter().map(|(_, around)| around).collect()
    }
}

impl Explanation {
    /// Whose credential it takes, if it goes that far.
    pub fn connection(&self) -> Option<&ConnectionId> {
        self.onward.as_ref()?;
        self.route.as_ref()?.connection.as_ref()
    }

    /// Adds how the connection stands: what has no usable credential is refused.
    #[must_use]
    pub fn standing(mut self, status: ConnectionStatus) -> Self {
        if let Some(fault) = unusable(&status) {
            self.outcome = Outcome::Refuse(Refusal::Credential(fault));
        }
        self.standing = Some(status);
        self
    }

    /// Why it is refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Refuse(refusal) => Some(refusal),
            Outcome::Forward | Outcome::Own(_) => None,
        }
    }

    /// When the credential of this route ends.
    pub fn expires_at(&self) -> Option<&str> {
        let (status, onward) = (self.standing.as_ref()?, self.onward.as_ref()?);
        let own = status.credentials.iter().find(|credential| credential.target == onward.target);
        own?.expires_at.as_deref()
    }

    /// `ccproxy.explain/1`, but for the request itself and where it comes in.
    pub fn document(&self) -> Value {
        let route = self.route.as_deref();
        let onward = self.onward.as_ref();
        json!({
            "schema": "ccproxy.explain/1",
            "outcome": match &self.outcome {
                Outcome::Forward => "forward",
                Outcome::Own(_) => "own",
                Outcome::Refuse(_) => "refuse",
            },
            "answer": match &self.outcome {
                Outcome::Own(what) => Some(what),
                Outcome::Forward | Outcome::Refuse(_) => None,
            },
            "problem": self.refusal().map(|refusal| told(refusal, route)),
            "nearest": self.nearest,
            "key_required": self.asks_for_key,
            "route": route.map(|route| json!({
                "name": route.name,
                "path": format!("/{}/", route.path),
                "matched_by": onward.map(|onward| onward.matched_by),
                "written_at": route.written_at,
            })),
            "upstream": onward.map(|onward| &onward.upstream),
            "connection": route.and_then(|route| route.connection.as_ref()),
            "provider": route.and_then(|route| route.provider.as_ref()),
            "target": onward.map(|onward| &onward.target),
            "credential": self.standing.as_ref().map(|status| json!({
                "state": status.state,
                "usable": status.is_usable(),
                "refreshable": status.refreshable,
                "expires_at": self.expires_at(),
            })),
            "removed": onward.map(|onward| &onward.removed),
            "added": onward.map(|onward| &onward.added),
            "rewrite": route.map(rewritten),
            "rewrite_json": route.map(|route| &*route.policy.rewrite_json),
            "timeout_seconds": route.map(|route| route.policy.timeout.as_secs_f64()),
        })
    }
}

/// The response fields whose links lead back here.
pub fn rewritten(route: &Route) -> Vec<&'static str> {
    let rewrite = route.policy.rewrite;
    [("location", rewrite.location), ("link", rewrite.link)]
        .into_iter()
        .filter_map(|(name, is_rewritten)| is_rewritten.then_some(name))
        .collect()
}

/// What a client would be told; the reason, which the log would be.
fn told(refusal: &Refusal, route: Option<&Route>) -> Value {
    let reply = problem(refusal, subject(route), "");
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let reason = match refusal {
        Refusal::Credential(fault) => Some(&fault.message),
        _ => None,
    };
    json!({
        "status": body["status"],
        "code": body["code"],
        "title": body["title"],
        "hint": body["hint"],
        "reason": reason,
    })
}

/// Why no credential could be attached.
fn unusable(status: &ConnectionStatus) -> Option<Fault> {
    if status.is_usable() {
        return None;
    }
    let id = status.id();
    let code = match status.state {
        State::StoreLocked => Code::Storage,
        State::PluginMissing => Code::PluginMissing,
        State::Expired => Code::TokenExpired,
        State::ReauthRequired => return Some(credential::ended(&id, status.problem.as_ref())),
        _ => Code::NotLoggedIn,
    };
    let fault = Fault::new(code, format!("`{id}` has no usable credential"));
    let hint = status.problem.as_ref().and_then(|problem| problem.hint.clone());
    Some(match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    })
}

/// A credential that has names and nothing else.
fn named(fields: &[String]) -> Prepared {
    let empty = HeaderValue::from_static("");
    let names = fields.iter().filter_map(|name| HeaderName::try_from(name.as_str()).ok());
    Prepared {
        fields: names.map(|name| (name, empty.clone())).collect(),
        query: Vec::new(),
        expires_at: None,
        generation: 0,
        acquired_at: UnixMillis(0),
    }
}
