//! From configuration and what providers say to the table that requests are matched with.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderValue;
use serde_json::{Value, json};

use crate::config::{self, ConnectionConfig, Resolved, RouteConfig};
use crate::credential::Credentials;
use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, CredentialKey, Name, Target};
use crate::plugin::Description;
use crate::proxy::ListenerUrl;
use crate::route::{Cookies, Destination, Forward, Methods, Policy, Rewrite, Route, RouteTable, Unavailable};
use crate::upstream::Base;

use super::directory::{Directory, Settings};
use super::listeners;

/// What each provider says of its connections, or why it cannot.
pub type Described = BTreeMap<ConnectionId, Result<Description, Fault>>;

/// Asks every provider about every connection.
pub async fn describe_all(directory: &Directory) -> Described {
    let mut described = Described::new();
    for (id, _) in directory.connections() {
        let description = directory.describe(&id).await;
        described.insert(id, description);
    }
    described
}

/// Builds the table.
pub fn build(
    settings: &Settings,
    described: &Described,
    credentials: &Credentials,
    injected: impl Iterator<Item = String>,
) -> Result<RouteTable, Fault> {
    let config = settings.config();
    let builder = Builder { settings, resolved: &config.resolved, described, credentials };
    let written = config.resolved.routes.iter().map(|(name, route)| builder.written(name, route));
    let own = config
        .resolved
        .connections
        .iter()
        .filter(|(id, _)| id.is_global())
        .map(|(id, connection)| builder.own(id, connection));
    let routes = described.values().flatten().flat_map(|description| &description.routes);
    let said = routes.flat_map(|route| route.credential_fields.iter().cloned());
    let routes = written.chain(own.map(Ok)).collect::<Result<_, _>>()?;
    RouteTable::build(routes, injected.chain(said))
        .map_err(|conflict| Fault::new(Code::InvalidConfig, conflict.to_string()))
}

struct Builder<'a> {
    settings: &'a Settings,
    resolved: &'a Resolved,
    described: &'a Described,
    credentials: &'a Credentials,
}

impl Builder<'_> {
    /// `[routes.NAME]`.
    fn written(&self, name: &Name, route: &RouteConfig) -> Result<Route, Fault> {
        let connection = self.resolved.connections.get(&route.connection);
        let mut forward = match connection {
            Some(connection) => {
                self.forward(&route.connection, connection, route.upstream.as_ref(), &route.target, || {
                    format!("routes.{name}.upstream")
                })
            }
            None => Forward::Nowhere(Unavailable::Fault(super::directory::unknown_connection(
                &route.connection,
                &self.settings.config(),
            ))),
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
        let description = self.described.get(id).cloned().unwrap_or_else(|| {
            Err(Fault::new(Code::Internal, format!("nobody was asked about the connection `{id}`")))
        })?;
        let own = description.routes.into_iter().next();
        let invalid = |error: crate::upstream::InvalidOrigin| {
            Fault::new(Code::InvalidConfig, format!("upstream of `{id}`: {error}"))
        };
        let base = match (upstream.or(connection.upstream.as_ref()), own.and_then(|own| own.upstream)) {
            (Some(url), _) => Base::of(url).map_err(invalid)?,
            (None, Some(text)) => text.parse().map_err(invalid)?,
            (None, None) => return Ok(None),
        };
        let key = CredentialKey { connection: id.clone(), target: target.clone() };
        let cell = self.credentials.cell(&key);
        Ok(Some(Destination::new(base, cell, self.settings.connector(id)?)))
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
