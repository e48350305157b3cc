//! A worker without sockets: its clients and its upstream are ends of connections in memory, and the clock is paused.
//! Time passes when nobody has anything left to do, and then at once.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};

use super::house::{Plan, token};
use crate::carrier::{Leave, Shared, Worker, serve};
use crate::credential::Acquire;
use crate::hook::HookSink;
use crate::message::{Entry, Local, Via};
use crate::pipe::{self, Asked, End};
use crate::upstream::connect::Connector;

/// What clients call us.
pub(super) const AUTHORITY: &str = "127.0.0.1:8462";
/// What a socket holds until it is read.
pub(super) const ROOM: usize = 256 * 1024;

pub(super) struct Inside {
    pub(super) worker: Rc<Worker>,
    asked: RefCell<Option<Asked>>,
    served: RefCell<Vec<JoinHandle<()>>>,
}

impl Inside {
    /// A worker with the credential of generation 1. Of the plan's connector nothing is used.
    pub(super) fn new(plan: Plan, acquire: Arc<dyn Acquire>, hooks: Arc<dyn HookSink>) -> Self {
        let (asking, asked) = mpsc::unbounded_channel();
        let (rules, cell) = plan.rules(Connector::in_memory(asking));
        cell.publish(token(1));
        let shared = Shared {
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            acquire,
            hooks,
            access_log: Default::default(),
            meter: Default::default(),
            own: None,
        };
        Self {
            worker: Worker::new(Arc::new(shared), 0),
            asked: RefCell::new(Some(asked)),
            served: RefCell::default(),
        }
    }

    /// Who is asked for connections to the upstream. Once.
    pub(super) fn asked(&self) -> Asked {
        self.asked.borrow_mut().take().expect("nobody else plays the upstream")
    }

    /// A new client, of our user, over a connection that holds so much.
    pub(super) fn client(&self, room: usize) -> End {
        let (client, ours) = pipe::pair(room);
        let via = Via {
            local: Local::Tcp(AUTHORITY.parse().unwrap()),
            dedicated: None,
            http2: false,
            exposed: false,
            entry: Entry::SameUser,
        };
        let served = serve(self.worker.clone(), Rc::new(via), ours.into(), Leave::default());
        self.served.borrow_mut().push(served);
        client
    }

    /// All have gone home: nothing is left of them, and nobody's connection ended in a panic.
    pub(super) async fn assert_left(&self) {
        for served in self.served.take() {
            assert!(served.is_finished(), "a connection that its client has left is still served");
            served.await.unwrap();
        }
        self.worker.expire_idle();
        assert_eq!(self.worker.connections(), (0, 0, 0), "connections under way, not closed, pooled");
    }

    /// Answers the next question for a connection to the upstream.
    pub(super) fn connect(answer: oneshot::Sender<End>, room: usize) -> Option<End> {
        let (upstream, ours) = pipe::pair(room);
        answer.send(ours).ok().map(|()| upstream)
    }
}

/// Waits until nobody has anything left to do.
pub(super) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Runs a story of a worker.
pub(super) fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, story)
}
