//! The set of listeners in force, and how it changes while requests are served.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::bind::{BindError, Bound, bind};
use super::place::{ListenerSpec, ListenerUrl};

/// The listeners of a host. Workers follow the set; whoever holds one of these may change it.
#[derive(Clone)]
pub struct Doors {
    open: watch::Sender<Vec<Arc<Bound>>>,
    /// One change at a time.
    changing: Arc<Mutex<()>>,
}

impl Doors {
    /// Binds every listener, or none.
    pub(crate) fn open(specs: &[ListenerSpec]) -> Result<Self, BindError> {
        let open = watch::Sender::new(next(&[], specs)?);
        Ok(Self { open, changing: Arc::default() })
    }

    /// Has these listeners from now on: the whole set, or, if one of them cannot be had, the old one. A listener
    /// that stays refuses nobody meanwhile. One that goes lets the requests on it end and closes its idle
    /// connections.
    pub fn change(&self, specs: &[ListenerSpec]) -> Result<(), BindError> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.open.borrow().clone();
        if now.is_empty() {
            // The host is on its way out.
            return Ok(());
        }
        let next = next(&now, specs)?;
        self.open.send_if_modified(|open| {
            let ids = |set: &[Arc<Bound>]| set.iter().map(|bound| bound.id).collect::<Vec<_>>();
            let changed = ids(open) != ids(&next);
            *open = next;
            changed
        });
        Ok(())
    }

    /// Nobody new: the sockets are closed, and those of Unix are removed.
    pub(crate) fn close(&self) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.send_replace(Vec::new());
    }

    /// What is listened on, the ports filled in.
    pub fn urls(&self) -> Vec<ListenerUrl> {
        self.open.borrow().iter().map(|bound| bound.url()).collect()
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Vec<Arc<Bound>>> {
        let mut followed = self.open.subscribe();
        // Whoever begins to follow has not seen the set of now.
        followed.mark_changed();
        followed
    }
}

/// The set that `specs` ask for: listeners of `now` where they will do, new ones otherwise.
fn next(now: &[Arc<Bound>], specs: &[ListenerSpec]) -> Result<Vec<Arc<Bound>>, BindError> {
    let mut old = now.to_vec();
    let mut next = Vec::with_capacity(specs.len());
    for spec in specs {
        match old.iter().position(|bound| bound.is_at(&spec.place)) {
            Some(found) => {
                let bound = old.swap_remove(found);
                if bound.is_exposed() && !spec.terms.may_be_exposed {
                    return Err(BindError::NotLoopback { place: spec.place.clone(), at: None });
                }
                next.push(if bound.terms == spec.terms {
                    bound
                } else {
                    let refused = |source| BindError::Refused { place: spec.place.clone(), source };
                    Arc::new(bound.on_terms(spec).map_err(refused)?)
                });
            }
            None => match bind(spec)? {
                Some(bound) => next.push(Arc::new(bound)),
                // Once is enough: the next set will want it, too.
                None if now.is_empty() => {
                    tracing::warn!(address = %spec.place, "this machine has no IPv6 loopback: not listening there");
                }
                None => {}
            },
        }
    }
    if next.is_empty() { Err(BindError::Nothing) } else { Ok(next) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::place::{Address, Place, Terms};
    use pretty_assertions::assert_eq;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    fn tcp(address: SocketAddr, route: Option<&str>) -> ListenerSpec {
        let dedicated = route.map(|route| route.parse().unwrap());
        ListenerSpec { place: Place::Tcp(address), terms: Terms { dedicated, ..Terms::default() } }
    }

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    fn addresses(doors: &Doors) -> Vec<SocketAddr> {
        let address = |url: ListenerUrl| match url.at {
            Address::Tcp(address) => address,
            Address::Unix(path) => panic!("{}", path.display()),
        };
        doors.urls().into_iter().map(address).collect()
    }

    #[test]
    fn a_listener_that_stays_is_not_touched() {
        let doors = Doors::open(&[tcp(any(), None)]).unwrap();
        let first = addresses(&doors)[0];
        let mut followed = doors.follow();
        followed.mark_unchanged();
        doors.change(&[tcp(any(), None)]).unwrap();
        assert!(!followed.has_changed().unwrap(), "nothing changed");
        doors.change(&[tcp(any(), None), tcp(any(), Some("gh"))]).unwrap();
        assert_eq!(addresses(&doors)[0], first);
        // The same port, for another: a connection that waits is not refused.
        let waiting = TcpStream::connect(first).unwrap();
        doors.change(&[tcp(first, Some("graph"))]).unwrap();
        assert_eq!(addresses(&doors), [first]);
        assert_eq!(doors.urls()[0].dedicated, Some("graph".parse().unwrap()));
        drop(waiting);
    }

    #[test]
    fn the_set_changes_whole_or_not_at_all() {
        let doors = Doors::open(&[tcp(any(), None)]).unwrap();
        let before = doors.urls();
        let taken = TcpListener::bind(any()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("gh.sock");
        let unix = ListenerSpec { place: Place::Unix(path.clone()), terms: Terms::default() };
        let refused = doors.change(&[unix.clone(), tcp(taken.local_addr().unwrap(), None)]);
        assert!(matches!(refused, Err(BindError::InUse { .. })));
        assert_eq!(doors.urls(), before);
        assert!(!path.exists(), "what was made for the new set is gone");
        assert!(matches!(doors.change(&[]), Err(BindError::Nothing)));

        doors.change(&[unix]).unwrap();
        assert!(path.exists());
        assert!(TcpStream::connect(before[0].to_string().trim_start_matches("http://")).is_err());
        doors.close();
        assert!(!path.exists() && doors.urls().is_empty());
    }
}
