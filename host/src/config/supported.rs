//! What is part of the contract but not built yet: understood, and refused plainly.

use super::diagnostic::{ConfigError, Diagnostic, did_you_mean};
use super::load::Config;
use super::origin::Origin;
use super::typed::{Backend, ListenAddress};
use crate::fault::Fault;

impl Config {
    /// Refuses, as `unsupported`, what this version cannot do. Asked by `serve` and `config check`.
    pub fn check_supported(&self) -> Result<(), ConfigError> {
        let resolved = &self.resolved;
        let mut missing = Vec::new();
        let mut refuse = |path: &[&str], what: String, hint: &str| {
            let message = format!("{what} is not built yet in this version");
            missing.push(self.diagnostic(path, message).with_hint(hint));
        };
        for address in &resolved.server.listen {
            if let Some(what) = unsupported(address) {
                let what = format!("{what} (`{address}` in `server.listen`)");
                refuse(&["server", "listen"], what, CLEARTEXT);
            }
        }
        let tls = &resolved.server.tls;
        if tls.cert.is_some() || tls.key.is_some() || tls.local_ca {
            refuse(&["server", "tls"], "[server.tls]".into(), "leave it out");
        }
        if matches!(resolved.storage.backend, Backend::Keyring | Backend::Postgres) {
            let what = format!("`storage.backend` = {:?}", resolved.storage.backend).to_lowercase();
            refuse(&["storage", "backend"], what, "use \"auto\", \"file\" or \"memory\"");
        }
        for (name, route) in &resolved.routes {
            if let Some((what, address)) = route.listen.as_ref().and_then(|it| Some((unsupported(it)?, it))) {
                let what = format!("{what} (`{address}` for the route `{name}`)");
                refuse(&["routes", name.as_str(), "listen"], what, CLEARTEXT);
            }
        }
        ConfigError::check_unsupported(missing)
    }

    /// Refuses routes whose connection does not exist. Apart from loading, because `auth login` may be about to
    /// make that connection.
    pub fn check_references(&self) -> Result<(), ConfigError> {
        let connections = &self.resolved.connections;
        let dangling = self.resolved.routes.iter().filter_map(|(name, route)| {
            let missing = !connections.contains_key(&route.connection);
            missing.then(|| {
                let wanted = route.connection.to_string();
                let known: Vec<String> = connections.keys().map(ToString::to_string).collect();
                let message =
                    format!("the route `{name}` uses the connection `{wanted}`, which does not exist");
                let hint = did_you_mean(&wanted, known.iter().map(String::as_str))
                    .unwrap_or_else(|| format!("make it: ccproxy auth create {wanted} --provider ID"));
                self.diagnostic(&["routes", name.as_str(), "connection"], message).with_hint(hint)
            })
        });
        ConfigError::check(dangling.collect())
    }

    /// A mistake in the value at a path that shows only when the value is used.
    pub fn mistake(&self, path: &[&str], fault: &Fault) -> ConfigError {
        let diagnostic = self.diagnostic(path, fault.message.clone());
        ConfigError::from(diagnostic.maybe_hint(fault.hint.clone()))
    }

    /// A mistake in the value at a path.
    pub(super) fn diagnostic(&self, path: &[&str], message: String) -> Diagnostic {
        match self.merged.position(path) {
            Some(position) => Diagnostic::at_value(position, message),
            None => Diagnostic::new(Origin::BuiltIn, message),
        }
    }
}

const CLEARTEXT: &str = "leave `https://` out";

fn unsupported(address: &ListenAddress) -> Option<&'static str> {
    match address {
        ListenAddress::Https(_) => Some("an https listener"),
        ListenAddress::Tcp(_) | ListenAddress::Unix(_) | ListenAddress::Fd(_) => None,
    }
}
