//! The table of routes: first path segment, or `<name>.localhost`, to route.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Route;
use crate::guard::{Addressee, Admitted};
use crate::hint::listed;
use crate::message::{FieldSet, Known, Lines, NameSet, Via};
use crate::model::Name;
use crate::refusal::Refusal;

/// All routes. Built once; a reload builds another and swaps it in.
#[derive(Default)]
pub struct RouteTable {
    by_path: Vec<Arc<Route>>,
    by_name: Vec<Arc<Route>>,
    credential_fields: CredentialFields,
    public: BTreeSet<Box<[u8]>>,
}

/// Names that providers inject, lower case with `-`.
#[derive(Default)]
struct CredentialFields {
    all: Box<[Box<str>]>,
    /// Those that every field is compared with when it is read.
    known: NameSet,
    /// Those that are left to compare.
    others: Box<[Box<str>]>,
}

/// Two written routes want one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two routes have the {what} `{value}`: {} and {}", written_at[0], written_at[1])]
pub struct Conflict {
    /// `path` or `name`.
    pub what: &'static str,
    /// Which.
    pub value: Name,
    /// Where they are written.
    pub written_at: [String; 2],
}

/// Where a route sits for this request, and so where links into it must lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// Below `/<path>`.
    Path,
    /// At `/`: `<name>.localhost`, or a listener of its own.
    Root,
    /// At `/` of what the client takes for the upstream itself: a Unix socket of its own, through which it
    /// calls every name.
    Upstream,
}

/// A path that ccproxy answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnPath<'a> {
    /// `GET /`.
    Index,
    /// `/_ccproxy/livez`.
    Live,
    /// `/_ccproxy/readyz`.
    Ready,
    /// `/_ccproxy/callback`.
    Callback,
    /// `/_ccproxy/plugins/<id>/rest`.
    Plugin {
        /// The plugin's id.
        id: &'a str,
        /// What follows it, beginning with `/`, or nothing.
        rest: &'a [u8],
    },
}

/// What is at a path.
pub enum Found<'a> {
    /// A route; `rest` begins with `/` and goes out byte for byte.
    Route {
        /// Which.
        route: Arc<Route>,
        /// The path below it.
        rest: &'a [u8],
        /// Where it sits.
        mount: Mount,
    },
    /// `/<route>`, which means `/<route>/`: relative links must resolve below it.
    MissingSlash {
        /// Where to go instead.
        location: Vec<u8>,
    },
    /// Something of ours.
    Own(OwnPath<'a>),
}

impl RouteTable {
    /// Builds the table. A written route beats an automatic one of the same path or name; two written
    /// ones are a conflict. `credential_fields` are the names that any loaded provider injects: a
    /// client's fields of those names go nowhere, whatever the route.
    pub fn build<I>(routes: Vec<Route>, credential_fields: I) -> Result<Self, Conflict>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let routes: Vec<_> = routes.into_iter().map(Arc::new).collect();
        Ok(Self {
            by_path: index(&routes, "path", |route| &route.path)?,
            by_name: index(&routes, "name", |route| &route.name)?,
            credential_fields: CredentialFields::of(credential_fields),
            public: BTreeSet::new(),
        })
    }

    /// The same with paths that anybody may ask for, such as `/_ccproxy/plugins/acme/hook`.
    #[must_use]
    pub fn with_public(mut self, paths: impl IntoIterator<Item = String>) -> Self {
        self.public = paths.into_iter().map(|path| path.into_bytes().into()).collect();
        self
    }

    /// Whether anybody may ask for this path, as it is written. Probes come without keys, and learn nothing.
    pub fn is_public(&self, path: &[u8]) -> bool {
        matches!(path, b"/_ccproxy/livez" | b"/_ccproxy/readyz") || self.public.contains(path)
    }

    /// The routes that can be reached by path, in order of their paths.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_path.iter()
    }

    /// The names of all fields that some provider injects, lower case with `-`.
    pub fn credential_fields(&self) -> impl Iterator<Item = &[u8]> {
        self.credential_fields.all.iter().map(|name| name.as_bytes())
    }

    /// Takes the fields out that some server would read as a provider's.
    pub fn remove_credential_fields(&self, all: Lines<'_>, fields: &mut FieldSet) {
        let CredentialFields { known, others, .. } = &self.credential_fields;
        fields.remove_meaning(all, *known);
        others.iter().for_each(|name| fields.remove_named(&all, name.as_bytes()));
    }

    /// What an admitted request is for.
    pub fn find<'a>(&self, request: &Admitted<'a>, via: &Via) -> Result<Found<'a>, Refusal> {
        let (label, mount) = match (&via.dedicated, request.addressee) {
            (Some(name), Addressee::Upstream) => (name.as_str(), Mount::Upstream),
            (Some(name), Addressee::Host | Addressee::Route(_)) => (name.as_str(), Mount::Root),
            (None, Addressee::Route(label)) => (label, Mount::Root),
            (None, Addressee::Host | Addressee::Upstream) => return self.by_first_segment(request),
        };
        let route = self.named(label).ok_or_else(|| self.no_route())?;
        Ok(Found::Route { route, rest: request.path, mount })
    }

    fn by_first_segment<'a>(&self, request: &Admitted<'a>) -> Result<Found<'a>, Refusal> {
        let below = &request.path[1..];
        let end = below.iter().position(|byte| *byte == b'/');
        let (segment, rest) = below.split_at(end.unwrap_or(below.len()));
        if segment == b"_ccproxy" {
            let own = own_path(rest).ok_or_else(|| self.no_route())?;
            return answered(request.method, own);
        }
        if below.is_empty() {
            return answered(request.method, OwnPath::Index);
        }
        let at = self.by_path.binary_search_by(|route| route.path.as_str().as_bytes().cmp(segment));
        let route = at.map_err(|_| self.no_route())?;
        if rest.is_empty() {
            let mut location = request.path.to_vec();
            location.push(b'/');
            if let Some(query) = request.query {
                location.push(b'?');
                location.extend_from_slice(query);
            }
            return Ok(Found::MissingSlash { location });
        }
        Ok(Found::Route { route: self.by_path[route].clone(), rest, mount: Mount::Path })
    }

    fn named(&self, label: &str) -> Option<Arc<Route>> {
        // Names are lower case.
        let label = || label.bytes().map(|byte| byte.to_ascii_lowercase());
        let at = self.by_name.binary_search_by(|route| route.name.as_str().bytes().cmp(label()));
        at.ok().map(|at| self.by_name[at].clone())
    }

    fn no_route(&self) -> Refusal {
        let hint = if self.by_path.is_empty() {
            "there are no routes yet: log in with `ccproxy auth login PROVIDER`".to_owned()
        } else {
            format!("the routes are {}", listed(self.by_path.iter().map(|route| route.path.as_str())))
        };
        Refusal::NoSuchRoute { hint }
    }
}

impl CredentialFields {
    fn of(names: impl IntoIterator<Item: AsRef<str>>) -> Self {
        let canonical = |name: &str| name.to_ascii_lowercase().replace('_', "-").into_boxed_str();
        // Every connection of a provider names the same.
        let all: BTreeSet<_> = names.into_iter().map(|name| canonical(name.as_ref())).collect();
        let (mut known, mut others) = (NameSet::default(), Vec::new());
        for name in &all {
            match Known::of(name.as_bytes()) {
                one if one.name() == &**name => known.insert(one),
                // A family is more than one of its names.
                _ => others.push(name.clone()),
            }
        }
        Self { all: all.into_iter().collect(), known, others: others.into() }
    }
}

/// What we answer ourselves and without being told anything is read, not written to.
fn answered<'a>(method: &[u8], own: OwnPath<'a>) -> Result<Found<'a>, Refusal> {
    let only_read = matches!(own, OwnPath::Index | OwnPath::Live | OwnPath::Ready);
    if only_read && !matches!(method, b"GET" | b"HEAD") {
        return Err(Refusal::MethodNotAllowed { allow: "GET, HEAD".into() });
    }
    Ok(Found::Own(own))
}

fn own_path(rest: &[u8]) -> Option<OwnPath<'_>> {
    match rest {
        b"/livez" => Some(OwnPath::Live),
        b"/readyz" => Some(OwnPath::Ready),
        b"/callback" => Some(OwnPath::Callback),
        _ => {
            let below = rest.strip_prefix(b"/plugins/")?;
            let end = below.iter().position(|byte| *byte == b'/').unwrap_or(below.len());
            let id = std::str::from_utf8(&below[..end]).ok().filter(|id| !id.is_empty())?;
            Some(OwnPath::Plugin { id, rest: &below[end..] })
        }
    }
}

/// Sorts the routes by one of their names, written ones first choice.
fn index(
    routes: &[Arc<Route>],
    what: &'static str,
    key: impl Fn(&Route) -> &Name,
) -> Result<Vec<Arc<Route>>, Conflict> {
    let mut sorted: Vec<_> = routes.to_vec();
    sorted.sort_by(|one, other| {
        key(one).cmp(key(other)).then(one.written_at.is_none().cmp(&other.written_at.is_none()))
    });
    for pair in sorted.windows(2) {
        if let [first, second] = pair
            && key(first) == key(second)
            && let (Some(one), Some(other)) = (&first.written_at, &second.written_at)
        {
            let written_at = [one.clone(), other.clone()];
            return Err(Conflict { what, value: key(first).clone(), written_at });
        }
    }
    sorted.dedup_by(|later, earlier| key(later) == key(earlier));
    Ok(sorted)
}

#[cfg(test)]
mod tests;
