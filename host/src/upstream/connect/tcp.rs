//! Names and TCP.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use url::Host;

use super::ConnectError;

/// RFC 8305 section 8: the next address is tried while the one before is still silent.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that answers.
pub(super) async fn connect(host: &Host<String>, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(host, port).await?;
    let tcp = race(addresses, TcpStream::connect)
        .await
        .map_err(|source| ConnectError::Tcp { to: format!("{host}:{port}"), source })?;
    // Heads and single events are small writes; waiting to fill a segment would only delay them.
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

async fn resolve(host: &Host<String>, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let with_port = |address: IpAddr| SocketAddr::new(address, port);
    match host {
        Host::Ipv4(address) => Ok(vec![with_port((*address).into())]),
        Host::Ipv6(address) => Ok(vec![with_port((*address).into())]),
        // Never asked of name service: a resolver must not be able to move cleartext off this machine.
        Host::Domain(name) if name == "localhost" => {
            Ok(vec![with_port(Ipv4Addr::LOCALHOST.into()), with_port(Ipv6Addr::LOCALHOST.into())])
        }
        Host::Domain(name) => {
            let failed = |source| ConnectError::Resolve { host: name.clone(), source };
            let found = tokio::net::lookup_host((name.as_str(), port)).await.map_err(failed)?;
            Ok(interleave(found.collect()))
        }
    }
}

/// IPv6 and IPv4 in turn, so that a family without a working path costs one delay, not one per address.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|at| at.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(preferred.len() + other.len());
    loop {
        let before = ordered.len();
        ordered.extend(preferred.next());
        ordered.extend(other.next());
        if ordered.len() == before {
            return ordered;
        }
    }
}

async fn race<T, F>(addresses: Vec<SocketAddr>, attempt: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => running.push(attempt(address)),
            None if running.is_empty() => return Err(last),
            None => {}
        }
        let more = waiting.len() > 0;
        let mut delay = pin!(tokio::time::sleep(ATTEMPT_DELAY));
        tokio::select! {
            Some(done) = running.next() => match done {
                Ok(open) => return Ok(open),
                Err(error) => last = error,
            },
            () = &mut delay, if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_in_the_order_name_service_prefers() {
        let found = vec![at("[::2]:1"), at("[::3]:1"), at("1.1.1.1:1"), at("2.2.2.2:1"), at("3.3.3.3:1")];
        let ordered = interleave(found);
        let expected = vec![at("[::2]:1"), at("1.1.1.1:1"), at("[::3]:1"), at("2.2.2.2:1"), at("3.3.3.3:1")];
        assert_eq!(ordered, expected);
    }

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_to_the_next() {
        let attempt = |address: SocketAddr| async move {
            if address.port() == 1 { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(address) }
        };
        assert_eq!(race(vec![at("1.1.1.1:1"), at("2.2.2.2:2")], attempt).await.unwrap(), at("2.2.2.2:2"));
        assert_eq!(
            race(vec![at("1.1.1.1:1")], attempt).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }

    #[tokio::test]
    async fn an_address_that_stays_silent_does_not_hold_up_the_next() {
        let attempt = |address: SocketAddr| async move {
            if address.port() == 1 {
                std::future::pending::<()>().await;
            }
            Ok(address)
        };
        assert_eq!(race(vec![at("1.1.1.1:1"), at("2.2.2.2:2")], attempt).await.unwrap(), at("2.2.2.2:2"));
    }
}
