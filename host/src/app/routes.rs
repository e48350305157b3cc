//! From configuration and what providers say to the table that requests are matched with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use futures_util::stream::{self, StreamExt as _};
use http::HeaderValue;
use serde_json::{Value, json};

use crate::config::{self, Config, ConnectionConfig, RouteConfig};
use crate::credential::Cell;
use crate::fault::{Code, Fault};
use crate::meter::Meters;
use crate::model::{ConnectionId, CredentialKey, Name, Target};
use crate::plugin::{Description, Outlets, Plugin};
use crate::proxy::ListenerUrl;
use crate::route::{Cookies, Destination, Forward, Methods, Policy, Rewrite, Route, RouteTable, Unavailable};
use crate::upstream::Base;

use super::directory::{AT_A_TIME, Directory, unknown_connection};
use super::listeners;

/// What each provider says of its connections, or why it cannot.
pub type Described = BTreeMap<ConnectionId, Result<Said, Fault>>;

/// What a provider said of a connection.
#[derive(Clone)]
pub struct Said {
    description: Arc<Description>,
    /// Of which settings.
    generation: u64,
    /// Who: another build of the plugin may say otherwise. Not held, so that a plugin can end.
    plugin: Weak<Plugin>,
}

/// Asks every provider about every connection, but not again about what it said before of the same settings.
pub async fn describe_all(directory: &Directory, config: &Config, before: &Described) -> Described {
    let mut described = Described::new();
    let mut unknown = Vec::new();
    for (id, own) in &config.resolved.connections {
        let serving = directory.registry.get(&own.provider);
        match serving.and_then(|plugin| said_before(before, id, own, &plugin)) {
            Some(said) => _ = described.insert(id.clone(), Ok(said.clone())),
            None => unknown.push((id.clone(), own.clone())),
        }
    }
    let asked = unknown.into_iter().map(|(id, own)| async move {
        let said = directory.describe_as(config, &id, &own).await.map(|(plugin, description)| Said {
            description: Arc::new(description),
            generation: own.generation,
            plugin: Arc::downgrade(&plugin),
        });
        (id, said)
    });
    described.extend(stream::iter(asked).buffered(AT_A_TIME).collect::<Vec<_>>().await);
    described
}

/// What this plugin said before of the same settings.
pub fn said_before<'a>(
    before: &'a Described,
    id: &ConnectionId,
    own: &ConnectionConfig,
    plugin: &Arc<Plugin>,
) -> Option<&'a Said> {
    let said = before.get(id)?.as_ref().ok()?;
    let same = said.generation == own.generation && said.plugin.ptr_eq(&Arc::downgrade(plugin));
    same.then_some(said)
}

/// Where the slots of credentials come from.
pub type Cells<'a> = dyn FnMut(CredentialKey) -> Arc<Cell> + Send + 'a;

/// Builds the table.
pub fn build(
    config: &Config,
    described: &Described,
    outlets: &Outlets,
    cells: &mut Cells<'_>,
    meters: &Meters,
    injected: impl Iterator<Item = String>,
) -> Result<RouteTable, Fault> {
    let builder = Builder { config, described, outlets, cells: RefCell::new(cells) };
    let written = config.resolved.routes.iter().map(|(name, route)| builder.written(name, route));
    let own = config
        .resolved
        .connections
        .iter()
        .filter(|(id, _)| id.is_global())
        .map(|(id, connection)| builder.own(id, connection));
    let routes = described.values().flatten().flat_map(|said| &said.description.routes);
    let said = routes.flat_map(|route| route.credential_fields.iter().cloned());
    let mut routes = written.chain(own.map(Ok)).collect::<Result<Vec<_>, _>>()?;
    let counting = meters.of(routes.iter().map(|route| &route.name));
    routes.iter_mut().zip(counting).for_each(|(route, meter)| route.meter = meter);
    RouteTable::build(routes, injected.chain(said))
        .map_err(|conflict| Fault::new(Code::InvalidConfig, conflict.to_string()))
}

struct Builder<'a, 'b> {
    config: &'a Config,
    described: &'a Described,
    outlets: &'a Outlets,
    cells: RefCell<&'a mut Cells<'b>>,
}

impl Builder<'_, '_> {
    /// `[routes.NAME]`.
    fn written(&self, name: &Name, route: &RouteConfig) -> Result<Route, Fault> {
        let connection = self.config.resolved.connections.get(&route.connection);
        let mut forward = match connection {
            Some(connection) => {
                self.forward(&route.connection, connection, route.upstream.as_ref(), &route.target, || {
                    format!("routes.{name}.upstream")
                })
            }
            None => Forward::Nowhere(Unavailable::Fault(unknown_connection(&route.connection, self.config))),
        };
        if let (Forward::To(destination), Some(host)) = (&mut forward, &route.host) {
            let host = HeaderValue::from_str(host).map_err(|_| {
                let what = format!("{}: `routes.{name}.host` cannot stand in a request", route.origin);
                Fault::new(Code::InvalidConfig, what)
            })?;
            Arc::get_mut(destination).expect("a destination just made has one owner").host = host;
        }
        let path = route.path.parse().map_err(|error| {
            Fault::new(Code::InvalidConfig, format!("{}: `routes.{name}.path`: {error}", route.origin))
        })?;
        Ok(Route {
            name: name.clone(),
            path,
            written_at: Some(route.origin.to_string()),
            connection: Some(route.connection.clone()),
            provider: connection.map(|connection| connection.provider.clone()),
            policy: policy(route),
            forward,
            meter: Default::default(),
        })
    }

    /// The route that a connection has by itself.
    fn own(&self, id: &ConnectionId, connection: &ConnectionConfig) -> Route {
        let mut policy = Policy::default();
        if let Some(timeout) = connection.timeout {
            policy.timeout = timeout;
        }
        Route {
            name: id.name.clone(),
            path: id.name.clone(),
            written_at: None,
            connection: Some(id.clone()),
            provider: Some(connection.provider.clone()),
            policy,
            forward: self
                .forward(id, connection, None, &Target::default(), || format!("connections.{id}.upstream")),
            meter: Default::default(),
        }
    }

    fn forward(
        &self,
        id: &ConnectionId,
        connection: &ConnectionConfig,
        upstream: Option<&url::Url>,
        target: &Target,
        key: impl Fn() -> String,
    ) -> Forward {
        match self.destination(id, connection, upstream, target) {
            Ok(Some(destination)) => Forward::To(Arc::new(destination)),
            Ok(None) => Forward::Nowhere(Unavailable::NoUpstream { key: key() }),
            Err(fault) => Forward::Nowhere(Unavailable::Fault(fault)),
        }
    }

    fn destination(
        &self,
        id: &ConnectionId,
        connection: &ConnectionConfig,
        upstream: Option<&url::Url>,
        target: &Target,
    ) -> Result<Option<Destination>, Fault> {
        let description = match self.described.get(id) {
            Some(Ok(said)) => &said.description,
            Some(Err(fault)) => return Err(fault.clone()),
            None => {
                let what = format!("nobody was asked about the connection `{id}`");
                return Err(Fault::new(Code::Internal, what));
            }
        };
        let own = description.routes.first();
        let invalid = |error: crate::upstream::InvalidOrigin| {
            Fault::new(Code::InvalidConfig, format!("upstream of `{id}`: {error}"))
        };
        let base =
            match (upstream.or(connection.upstream.as_ref()), own.and_then(|own| own.upstream.as_deref())) {
                (Some(url), _) => Base::of(url).map_err(invalid)?,
                (None, Some(text)) => text.parse().map_err(invalid)?,
                (None, None) => return Ok(None),
            };
        let key = CredentialKey { connection: id.clone(), target: target.clone() };
        let cell = (self.cells.borrow_mut())(key);
        let options = self.outlets.options(id, &connection.settings)?;
        Ok(Some(Destination::new(base, cell, self.outlets.connector(&options)?)))
    }
}

fn policy(route: &RouteConfig) -> Policy {
    let rewrites = |name: &str| route.rewrite.iter().any(|field| field.as_str() == name);
    Policy {
        timeout: route.timeout,
        methods: Methods::new(route.methods.iter().map(http::Method::as_str)).unwrap_or_default(),
        cookies: match route.cookies {
            config::Cookies::Drop => Cookies::Drop,
            config::Cookies::Pass => Cookies::Pass,
        },
        rewrite: Rewrite { location: rewrites("location"), link: rewrites("link") },
        rewrite_json: route.rewrite_json.as_slice().into(),
        http2: route.http2.unwrap_or(false),
    }
}

/// `ccproxy.routes/1`.
pub fn document(table: &RouteTable, listeners: &[ListenerUrl]) -> Value {
    let own = listeners::dedicated(listeners);
    let routes = table.routes().map(|route| {
        json!({
            "name": route.name,
            "path": format!("/{}/", route.path),
            "listen": own.get(&route.name),
            "connection": route.connection,
            "provider": route.provider,
            "upstream": match &route.forward {
                Forward::To(destination) => Value::from(destination.base.to_string()),
                Forward::Nowhere(_) => Value::Null,
            },
        })
    });
    json!({ "schema": "ccproxy.routes/1", "routes": routes.collect::<Vec<_>>() })
}
