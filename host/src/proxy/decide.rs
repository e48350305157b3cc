//! Guard, then route, then what goes upstream: the decisions on a request, in their order.
//!
//! Pure. Whatever carries the bytes calls [`Rules::decide`] with a borrowed head, and carries out what
//! it answers.

use std::sync::Arc;
use std::time::Duration;

use crate::credential::Prepared;
use crate::guard::{Admitted, Guard, Preflight, Verdict};
use crate::login::Callbacks;
use crate::message::{FieldSet, Known, Lines, NameSet, RequestHead, Via};
use crate::refusal::Refusal;
use crate::respond::{Client, Subject};
use crate::route::{Cookies, Destination, Found, Mount, OwnPath, Route, RouteTable};
use crate::upstream::{Outgoing, outgoing};

/// Everything that the request path takes from the configuration: one snapshot, read by one atomic load. A
/// reload makes another and swaps it in; requests under way end by the one they began with.
#[derive(Default)]
pub struct Rules {
    /// Who may enter.
    pub guard: Guard,
    /// What leads where.
    pub routes: RouteTable,
    /// Logins that wait for a browser. Not of the configuration: every snapshot has the same.
    pub callbacks: Arc<Callbacks>,
    /// Whether clients may speak HTTP/2 in the clear. Asked when a connection begins.
    pub http2: bool,
    /// Whether each request is logged.
    pub access_log: bool,
    /// How long requests under way may take once the host is told to stop.
    pub drain_timeout: Duration,
}

/// What is to be done with a request.
pub enum Decision<'a> {
    /// Forward it.
    Forward(RequestPlan<'a>),
    /// Answer it ourselves.
    Own(Own<'a>),
    /// Refuse it. The route, if it got that far.
    Refuse(Refusal, Option<Arc<Route>>),
}

/// A request that never goes upstream.
pub enum Own<'a> {
    /// A CORS preflight.
    Preflight(Preflight<'a>),
    /// `/<route>` without the slash.
    MissingSlash(Vec<u8>),
    /// One of our own paths.
    Path(Admitted<'a>, OwnPath<'a>),
}

/// A request on its way upstream, but for its credential.
pub struct RequestPlan<'a> {
    /// The route it took.
    pub route: Arc<Route>,
    /// Where it goes.
    pub to: Arc<Destination>,
    /// How it came in.
    pub admitted: Admitted<'a>,
    rest: &'a [u8],
    mount: Mount,
    fields: FieldSet,
}

impl Rules {
    /// Decides on a request head.
    pub fn decide<'a>(&self, head: &RequestHead<'a>, via: &Via) -> Decision<'a> {
        let admitted = match self.guard.admit(
            head,
            via,
            |path| self.routes.is_public(path),
            |query| self.callbacks.expects(query),
        ) {
            Ok(Verdict::Enter(admitted)) => admitted,
            Ok(Verdict::Preflight(preflight)) => return Decision::Own(Own::Preflight(preflight)),
            Err(refusal) => return Decision::Refuse(refusal, None),
        };
        match self.routes.find(&admitted, via) {
            Ok(Found::Route { route, .. }) if !admitted.may_use(&route.name) => {
                Decision::Refuse(not_allowed(&admitted), Some(route))
            }
            Ok(Found::Route { route, rest, mount }) => {
                forward(&self.routes, head, admitted, route, rest, mount)
            }
            Ok(Found::MissingSlash { location }) => Decision::Own(Own::MissingSlash(location)),
            // What a plugin answers is of no route.
            Ok(Found::Own(OwnPath::Plugin { .. })) if admitted.is_limited() => {
                Decision::Refuse(not_allowed(&admitted), None)
            }
            Ok(Found::Own(path)) => Decision::Own(Own::Path(admitted, path)),
            Err(refusal) => Decision::Refuse(refusal, None),
        }
    }
}

fn not_allowed(admitted: &Admitted<'_>) -> Refusal {
    let key = admitted.key.as_ref().map(|key| key.name.clone());
    key.map_or(Refusal::Internal, |key| Refusal::RouteNotAllowed { key })
}

fn forward<'a>(
    table: &RouteTable,
    head: &RequestHead<'a>,
    admitted: Admitted<'a>,
    route: Arc<Route>,
    rest: &'a [u8],
    mount: Mount,
) -> Decision<'a> {
    let to = match route.destination(admitted.method) {
        Ok(to) => to.clone(),
        Err(refusal) => return Decision::Refuse(refusal, Some(route)),
    };
    let mut fields = admitted.fields;
    table.remove_credential_fields(head.fields, &mut fields);
    if route.policy.cookies == Cookies::Drop {
        fields.remove_meaning(head.fields, NameSet::of(&[Known::Cookie]));
    }
    if route.policy.reads_bodies() {
        // The carrier asks for the body as it is: what is compressed cannot be read.
        fields.remove_meaning(head.fields, NameSet::of(&[Known::AcceptEncoding]));
    }
    Decision::Forward(RequestPlan { route, to, admitted, rest, mount, fields })
}

impl RequestPlan<'_> {
    /// The upstream's target and the client's fields that go along, for this credential.
    pub fn outgoing<'r>(&'r self, fields: Lines<'_>, credential: &'r Prepared) -> Outgoing<'r> {
        outgoing(&self.to.base, self.rest, self.admitted.query, (fields, self.fields), credential)
    }

    /// How the client reached the route, for links back.
    pub fn client(&self) -> Client<'_> {
        Client {
            authority: self.admitted.authority,
            path: self.route.path.as_str(),
            mount: self.mount,
            cors: self.admitted.cors,
            websocket: self.admitted.websocket,
        }
    }

    /// The path below the route, without the query.
    pub fn rest(&self) -> &[u8] {
        self.rest
    }
}

/// What a refusal on this route is about.
pub fn subject(route: Option<&Route>) -> Subject<'_> {
    Subject {
        route: route.map(|route| &route.name),
        connection: route.and_then(|route| route.connection.as_ref()),
    }
}
