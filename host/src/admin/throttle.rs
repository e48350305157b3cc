//! Who shows wrong keys has to wait.
//!
//! Nobody guesses 256 bits. But whoever tries fills logs and costs time, and what tries may be a tool that was
//! given a key which is revoked: it is told when to come back.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many wrong keys are a person's.
const FREE: u32 = 10;
/// Within this time, which also is how long to wait.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are told apart; beyond that they share one account.
const MOST: usize = 1024;

/// Wrong keys by the address they came from.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Account>>);

struct Account {
    failures: u32,
    since: Instant,
}

impl Throttle {
    /// Whether somebody at this address may show a key; else how long to wait.
    pub(super) fn check(&self, peer: IpAddr) -> Result<(), Duration> {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.get(&network(peer)).or_else(|| accounts.get(&SHARED));
        match account.map(|account| (account, account.since.elapsed())) {
            Some((account, passed)) if account.failures >= FREE && passed < WINDOW => Err(WINDOW - passed),
            Some(_) | None => Ok(()),
        }
    }

    /// It was a wrong one.
    pub(super) fn failed(&self, peer: IpAddr) {
        let now = Instant::now();
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut who = network(peer);
        if accounts.len() >= MOST && !accounts.contains_key(&who) {
            accounts.retain(|_, account| now - account.since < WINDOW);
            if accounts.len() >= MOST {
                who = SHARED;
            }
        }
        let account = accounts.entry(who).or_insert(Account { failures: 0, since: now });
        if now - account.since >= WINDOW {
            *account = Account { failures: 0, since: now };
        }
        account.failures += 1;
    }
}

/// Where the accounts of those are that there was no room for.
const SHARED: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Whoever has one IPv6 address has a whole /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use tokio::time::advance;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_wrong_keys_are_free_and_then_one_waits() {
        let throttle = Throttle::default();
        let (one, other) = (ip("127.0.0.1"), ip("10.0.0.7"));
        for _ in 0..FREE {
            assert_eq!(throttle.check(one), Ok(()));
            throttle.failed(one);
        }
        advance(Duration::from_secs(20)).await;
        assert_eq!(throttle.check(one), Err(Duration::from_secs(40)));
        assert_eq!(throttle.check(other), Ok(()), "others do not");
        advance(Duration::from_secs(40)).await;
        assert_eq!(throttle.check(one), Ok(()));
        throttle.failed(one);
        assert_eq!(throttle.check(one), Ok(()), "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn neighbours_in_ipv6_and_a_crowd_share_an_account() {
        let throttle = Throttle::default();
        for host in 0..FREE {
            throttle.failed(ip(&format!("2001:db8::{host:x}")));
        }
        assert!(throttle.check(ip("2001:db8::ffff")).is_err());
        assert!(throttle.check(ip("2001:db8:0:1::1")).is_ok());
        for host in 0..3 * u32::try_from(MOST).unwrap() {
            throttle.failed(std::net::Ipv4Addr::from_bits(0x0a00_0000 + host).into());
        }
        assert!(throttle.0.lock().unwrap().len() <= MOST + 1);
        assert!(throttle.check(ip("192.0.2.1")).is_err(), "who has none is in the shared one");
    }
}
