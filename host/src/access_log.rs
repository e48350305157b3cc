//! The access log: a line per request, written beside the requests.
//!
//! A worker hands over what it knows and goes on; one thread makes lines of it. Standard error may be a pipe
//! that nobody reads, so no request waits for it: what does not fit into the queue is dropped and counted.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use http::Method;
use tokio::sync::{mpsc, oneshot};

use crate::route::Route;

/// Lines that may wait. The writer is about as fast as a worker, so this is a burst, not a backlog.
const QUEUE: usize = 4096;
/// How long the writer rests when it has caught up. To wake a thread is a system call of the worker's: this way
/// it is one for each rest, not one for each line.
const REST: Duration = Duration::from_millis(2);
/// How long the end of the host waits for the last lines, should nobody read them.
const GRACE: Duration = Duration::from_secs(5);

/// One request, at its end.
pub struct Line {
    /// The id of the request.
    pub request_id: String,
    /// Its method.
    pub method: Method,
    /// The route it got, if it got that far.
    pub route: Option<Arc<Route>>,
    /// The path below the route, without the query.
    pub path: Option<String>,
    /// What it was answered with; 0 if it was not.
    pub status: u16,
    /// The size of the response's body, as far as it came.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// `ok`, the code of a refusal, or why it broke off.
    pub result: Cow<'static, str>,
}

/// The queue and its writer. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog(Arc<Inner>);

struct Inner {
    /// Made with the first line: a host that logs no requests has no thread for it.
    queue: OnceLock<mpsc::Sender<Item>>,
    dropped: Arc<AtomicU64>,
    write: Arc<dyn Fn(Entry) + Send + Sync>,
}

enum Item {
    Line(Box<Line>),
    /// Answered when everything before it is written.
    Mark(oneshot::Sender<()>),
}

/// What the writer writes.
enum Entry {
    Line(Box<Line>),
    /// Lines were dropped. Told once.
    Dropped,
}

impl AccessLog {
    fn to(write: impl Fn(Entry) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { queue: OnceLock::new(), dropped: Arc::default(), write: Arc::new(write) }))
    }

    /// Whether a line would be seen.
    pub fn is_seen() -> bool {
        tracing::enabled!(target: "ccproxy::access", tracing::Level::INFO)
    }

    /// Has the line written, or drops it. Never waits.
    pub fn record(&self, line: Line) {
        let queue = self.0.queue.get_or_init(|| self.0.start());
        if queue.try_send(Item::Line(Box::new(line))).is_err() {
            self.0.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Lines that the queue had no room for.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// Returns when everything recorded before is written, or nobody reads it.
    pub async fn flush(&self) {
        let Some(queue) = self.0.queue.get() else { return };
        let written = async {
            let (mark, passed) = oneshot::channel();
            if queue.send(Item::Mark(mark)).await.is_ok() {
                // Not answered means that there is no writer: nothing more will come.
                let _ = passed.await;
            }
        };
        // Who does not read for so long loses the lines; there is nowhere else to say so.
        let _ = tokio::time::timeout(GRACE, written).await;
    }
}

impl Default for AccessLog {
    /// An access log in the log of this process.
    fn default() -> Self {
        Self::to(tell)
    }
}

impl Inner {
    fn start(&self) -> mpsc::Sender<Item> {
        let (queue, items) = mpsc::channel(QUEUE);
        let (dropped, write) = (Arc::clone(&self.dropped), Arc::clone(&self.write));
        let started =
            thread::Builder::new().name("access-log".into()).spawn(move || work(items, &dropped, &*write));
        if let Err(error) = started {
            // The receiver is gone with it, so each line counts as dropped.
            tracing::error!(%error, "requests are not logged: no thread for the access log");
        }
        queue
    }
}

/// Writes until the last handle on the access log is gone.
fn work(mut items: mpsc::Receiver<Item>, dropped: &AtomicU64, write: &dyn Fn(Entry)) {
    let mut told = false;
    while let Some(item) = items.blocking_recv() {
        match item {
            Item::Line(line) => write(Entry::Line(line)),
            Item::Mark(mark) => {
                // Whoever set it may have left.
                let _ = mark.send(());
            }
        }
        // Here, where it may wait for standard error.
        if !told && dropped.load(Relaxed) > 0 {
            told = true;
            write(Entry::Dropped);
        }
        if items.is_empty() {
            thread::sleep(REST);
        }
    }
}

fn tell(entry: Entry) {
    match entry {
        Entry::Line(line) => tracing::info!(
            target: "ccproxy::access",
            request_id = %line.request_id,
            method = %line.method,
            route = line.route.as_ref().map(|route| route.name.as_str()),
            path = line.path.as_deref(),
            status = line.status,
            bytes = line.bytes,
            duration_ms = u64::try_from(line.duration.as_millis()).unwrap_or(u64::MAX),
            result = &*line.result,
        ),
        Entry::Dropped => tracing::warn!(
            "the access log is read too slowly; lines were dropped, which \
             ccproxy_access_log_lines_dropped_total counts"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc as sync;

    use super::*;
    use pretty_assertions::assert_eq;

    fn line(number: usize) -> Line {
        Line {
            request_id: number.to_string(),
            method: Method::GET,
            route: None,
            path: None,
            status: 200,
            bytes: 0,
            duration: Duration::ZERO,
            result: "ok".into(),
        }
    }

    #[tokio::test]
    async fn a_stuck_writer_costs_lines_which_are_counted_and_told_once_and_no_request_waits() {
        let (begun, writing) = sync::channel();
        let (release, gate) = sync::channel::<()>();
        let (gate, written) = (Mutex::new(gate), Arc::new(Mutex::new(Vec::new())));
        let log = AccessLog::to({
            let written = Arc::clone(&written);
            move |entry| {
                begun.send(()).unwrap();
                // Stuck until the other end is dropped.
                let _ = gate.lock().unwrap().recv();
                written.lock().unwrap().push(match entry {
                    Entry::Line(line) => line.request_id,
                    Entry::Dropped => "dropped".into(),
                });
            }
        });
        log.record(line(0));
        writing.recv().unwrap();
        for number in 1..=QUEUE + 10 {
            log.record(line(number));
        }
        assert_eq!(log.dropped(), 10);

        drop(release);
        log.flush().await;
        let mut expected: Vec<_> = (0..=QUEUE).map(|number| number.to_string()).collect();
        expected.insert(1, "dropped".into());
        assert_eq!(*written.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn without_a_line_there_is_nothing_to_wait_for() {
        let log = AccessLog::default();
        log.flush().await;
        assert!(log.0.queue.get().is_none());
    }
}
