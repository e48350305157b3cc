//! Where the host listens, by its configuration, and how that is told.

use std::collections::BTreeMap;

use crate::config::{Config, ListenAddress, Resolved};
use crate::fault::{Code, Fault, chain};
use crate::model::Name;
use crate::proxy::{Address, BindError, ListenerSpec, ListenerUrl, Place, Terms};

/// The listeners that a configuration asks for: those of the server, then those that a route has to itself.
pub fn wanted(config: &Config) -> Vec<ListenerSpec> {
    let resolved = &config.resolved;
    let may_be_exposed = config.allows_exposure();
    let terms = || Terms { may_be_exposed, ..Terms::default() };
    let shared = resolved.server.listen.iter().filter_map(|listen| spec(listen, terms()));
    shared.chain(own(resolved, may_be_exposed)).collect()
}

fn own(resolved: &Resolved, may_be_exposed: bool) -> impl Iterator<Item = ListenerSpec> {
    resolved.routes.iter().filter_map(move |(name, route)| {
        // `http2` is for the upstream; a client that must be passed on in HTTP/2 (gRPC) has to come in with it.
        let terms =
            Terms { dedicated: Some(name.clone()), http2: route.http2.unwrap_or(false), may_be_exposed };
        spec(route.listen.as_ref()?, terms)
    })
}

fn spec(listen: &ListenAddress, terms: Terms) -> Option<ListenerSpec> {
    let place = match listen {
        ListenAddress::Tcp(address) => Place::Tcp(*address),
        ListenAddress::Unix(path) => Place::Unix(path.clone()),
        ListenAddress::Fd(number) => Place::Inherited(*number),
        // Refused as unsupported before we get here.
        ListenAddress::Https(_) => return None,
    };
    Some(ListenerSpec { place, terms })
}

/// The listeners that a host would have, as far as that can be told before it binds them.
pub fn expected(config: &Config) -> Vec<ListenerUrl> {
    let urls = wanted(config).into_iter().filter_map(|spec| {
        let at = match spec.place {
            Place::Tcp(address) => Address::Tcp(address),
            Place::Unix(path) => Address::Unix(path),
            Place::Inherited(_) => return None,
        };
        Some(ListenerUrl { at, dedicated: spec.terms.dedicated })
    });
    urls.collect()
}

/// Why listeners cannot be had, with the place where they are asked for.
pub fn refused(config: &Config, error: &BindError) -> Fault {
    let asks = |listen: &Option<ListenAddress>| {
        let spec = listen.as_ref().and_then(|listen| spec(listen, Terms::default()));
        spec.is_some_and(|spec| error.place() == Some(spec.place))
    };
    let route = config.resolved.routes.iter().find(|(_, route)| asks(&route.listen));
    let fault = Fault { hint: error.hint(), ..Fault::new(Code::InvalidConfig, chain(error)) };
    match route {
        Some((name, _)) => config.mistake(&["routes", name.as_str(), "listen"], &fault).into(),
        None => config.mistake(&["server", "listen"], &fault).into(),
    }
}

/// Why the listener of the API cannot be had.
pub fn admin_refused(config: &Config, error: &BindError) -> Fault {
    let fault = Fault { hint: error.hint(), ..Fault::new(Code::InvalidConfig, chain(error)) };
    config.mistake(&["admin", "listen"], &fault).into()
}

/// The URLs that lead to every route.
pub fn shared(urls: &[ListenerUrl]) -> Vec<String> {
    urls.iter().filter(|url| url.dedicated.is_none()).map(ToString::to_string).collect()
}

/// The URLs that lead to one route, by its name.
pub fn dedicated(urls: &[ListenerUrl]) -> BTreeMap<Name, String> {
    urls.iter().filter_map(|url| Some((url.dedicated.clone()?, url.to_string()))).collect()
}
