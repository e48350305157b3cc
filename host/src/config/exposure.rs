//! Listeners that other machines reach. Section 6 of the interface: a key from everybody, and that on purpose in
//! the clear.

use std::fmt;

use super::diagnostic::{ConfigError, Diagnostic};
use super::load::Config;
use super::typed::{Access, ListenAddress};

impl Config {
    /// Refuses a listener that is open to others without what that takes.
    pub fn check_exposure(&self) -> Result<(), ConfigError> {
        let server = &self.resolved.server;
        let shared = server.listen.iter().map(|address| (vec!["server", "listen"], address));
        let own = self.resolved.routes.iter().filter_map(|(name, route)| {
            Some((vec!["routes", name.as_str(), "listen"], route.listen.as_ref()?))
        });
        let exposed = shared.chain(own).filter(|(_, address)| is_exposed(address));
        let problems = exposed.filter_map(|(path, address)| self.exposure(&path, address));
        ConfigError::check(problems.chain(self.admin_exposure()).collect())
    }

    /// What is missing before `address` may be open to others.
    fn exposure(&self, path: &[&str], address: &ListenAddress) -> Option<Diagnostic> {
        let server = &self.resolved.server;
        let access = match server.access {
            Access::Key if server.insecure_cleartext => return None,
            Access::Key => return Some(self.in_the_clear(path, address)),
            access @ (Access::SameUser | Access::Open) => access.as_str(),
        };
        let message = format!("`{address}` is not a loopback address, and `server.access` is \"{access}\"");
        Some(
            self.diagnostic(path, message)
                .with_hint("set `server.access = \"key\"`; ccproxy key create NAME"),
        )
    }

    /// The same for the admin API, which takes keys from everybody as it is.
    fn admin_exposure(&self) -> Option<Diagnostic> {
        let address = self.resolved.admin.listen.filter(|address| !address.ip().is_loopback())?;
        (!self.resolved.server.insecure_cleartext).then(|| self.in_the_clear(&["admin", "listen"], &address))
    }

    fn in_the_clear(&self, path: &[&str], address: &dyn fmt::Display) -> Diagnostic {
        let message = format!("keys and answers would be sent in the clear to `{address}`");
        self.diagnostic(path, message).with_hint(
            "listen on loopback behind a proxy that speaks TLS, or set `server.insecure_cleartext = true`",
        )
    }

    /// Whether listeners may be open to others.
    pub fn allows_exposure(&self) -> bool {
        let server = &self.resolved.server;
        server.access == Access::Key && server.insecure_cleartext
    }
}

fn is_exposed(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Tcp(address) | ListenAddress::Https(address) => !address.ip().is_loopback(),
        // Only our user opens such a socket; what a descriptor is shows when it is used.
        ListenAddress::Unix(_) | ListenAddress::Fd(_) => false,
    }
}
