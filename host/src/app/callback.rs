//! Whether a browser may come back to the host itself, and at which address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use url::{Host, Url};

use crate::login::{CALLBACK_PATH, Callbacks, ReturnTo};

/// The callback of a host that serves.
#[derive(Clone)]
pub struct HostCallback {
    callbacks: Arc<Callbacks>,
    /// The cleartext TCP listeners that lead to every route.
    listeners: Vec<SocketAddr>,
}

impl HostCallback {
    /// The callback behind these listeners.
    pub(super) fn new(callbacks: &Arc<Callbacks>, urls: &[String]) -> Self {
        let addresses = urls.iter().filter_map(|url| url.strip_prefix("http://")?.parse().ok());
        Self { callbacks: Arc::clone(callbacks), listeners: addresses.collect() }
    }

    /// Where a login's browser comes back to: here, unless `fixed` or `habit` names another place. `fixed` is the
    /// `redirect_uri` of the connection, `habit` the one of the provider.
    pub(super) fn return_to<'a>(&self, fixed: Option<&'a str>, habit: Option<&'a str>) -> ReturnTo<'a> {
        match self.address(fixed, habit) {
            Some(uri) => ReturnTo::Callback(Arc::clone(&self.callbacks), uri),
            None => ReturnTo::Listener(fixed.or(habit)),
        }
    }

    fn address(&self, fixed: Option<&str>, habit: Option<&str>) -> Option<Url> {
        let path = if fixed.is_some() { CALLBACK_PATH } else { "/" };
        let Some(wanted) = fixed.or(habit) else {
            let first = self.listeners.iter().find(|address| address.ip().is_loopback())?;
            return Url::parse(&format!("http://{first}{CALLBACK_PATH}")).ok();
        };
        let mut uri = Url::parse(wanted).ok().filter(|uri| uri.scheme() == "http" && uri.path() == path)?;
        let listens = |ip: IpAddr, port: u16| self.listeners.contains(&SocketAddr::new(ip, port));
        let leads_here = |port: &u16| match uri.host() {
            Some(Host::Ipv4(ip)) => listens(ip.into(), *port),
            Some(Host::Ipv6(ip)) => listens(ip.into(), *port),
            // Two addresses: whoever held the other one would be sent the code.
            Some(Host::Domain("localhost")) => {
                listens(Ipv4Addr::LOCALHOST.into(), *port)
                    && (listens(Ipv6Addr::LOCALHOST.into(), *port) || !has_ipv6())
            }
            Some(Host::Domain(_)) | None => false,
        };
        let mut ports = self.listeners.iter().map(SocketAddr::port);
        let port = ports.find(|port| uri.port().is_none_or(|fixed| fixed == *port) && leads_here(port))?;
        uri.set_port(Some(port)).ok()?;
        uri.set_path(CALLBACK_PATH);
        Some(uri)
    }
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn address(listeners: &[&str], fixed: Option<&str>, habit: Option<&str>) -> Option<String> {
        let urls: Vec<String> = listeners.iter().map(|address| format!("http://{address}")).collect();
        HostCallback::new(&Arc::default(), &urls).address(fixed, habit).map(Into::into)
    }

    const BOTH: [&str; 2] = ["127.0.0.1:8462", "[::1]:8462"];

    #[test]
    fn a_browser_comes_back_to_the_first_port_or_where_the_setting_says() {
        let here = Some("http://127.0.0.1:8462/_ccproxy/callback".to_owned());
        assert_eq!(address(&BOTH, None, None), here);
        for fixed in ["http://127.0.0.1:8462/_ccproxy/callback", "http://127.0.0.1/_ccproxy/callback"] {
            assert_eq!(address(&BOTH, Some(fixed), None), here, "{fixed}");
        }
        for elsewhere in
            ["http://127.0.0.1:9/_ccproxy/callback", "http://127.0.0.1/callback", "com.example:/cb"]
        {
            assert_eq!(address(&BOTH, Some(elsewhere), Some("http://localhost")), None, "{elsewhere}");
        }
        assert_eq!(address(&[], None, None), None);
    }

    #[test]
    fn localhost_is_ours_only_with_both_its_addresses() {
        let here = Some("http://localhost:8462/_ccproxy/callback".to_owned());
        assert_eq!(address(&BOTH, None, Some("http://localhost")), here);
        if has_ipv6() {
            assert_eq!(address(&["127.0.0.1:8462"], None, Some("http://localhost")), None);
        }
    }
}
