//! Events in the log: those that its level lets through, and no other is built for it.

use tokio::runtime::Handle;
use tracing::Level;
use tracing::level_filters::LevelFilter;

use super::{Hooks, Kind, Notice, Subscription};

/// The log may be this many events behind.
const CAPACITY: usize = 1024;

/// Writes events to the log for as long as the bus lives.
pub fn log_events(hooks: &Hooks, control: &Handle) {
    let shown = |kind: &&Kind| level(**kind) <= LevelFilter::current();
    let kinds = Kind::ALL.iter().filter(shown).fold(0, |mask, kind| mask | kind.bit());
    if kinds != 0 {
        control.spawn(write(hooks.subscribe(kinds, CAPACITY)));
    }
}

async fn write(mut events: Subscription) {
    let mut lost = 0;
    while let Some(notice) = events.recv().await {
        line(&notice);
        if events.dropped() > lost {
            tracing::warn!(lost = events.dropped() - lost, "events came faster than the log");
            lost = events.dropped();
        }
    }
}

/// `tracing` wants the level of a line at compile time.
fn line(notice: &Notice) {
    macro_rules! at {
        ($level:expr) => {
            tracing::event!(
                target: "ccproxy::event", $level,
                event = notice.event.kind.as_str(),
                document = &*notice.document,
            )
        };
    }
    match level(notice.event.kind) {
        Level::WARN => at!(Level::WARN),
        Level::INFO => at!(Level::INFO),
        _ => at!(Level::DEBUG),
    }
}

/// What an operator wants to see without asking is a warning or information; traffic is not, and
/// starts, stops and loaded plugins have lines of their own.
fn level(kind: Kind) -> Level {
    match kind {
        Kind::PluginError | Kind::OauthError | Kind::ConnectionReauthRequired => Level::WARN,
        Kind::ConnectionExpiring | Kind::ConnectionRecovered => Level::INFO,
        _ => Level::DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::hook::{Event, HookSink};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_warning_is_written_and_traffic_is_not() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        let _log = tracing::subscriber::set_default(subscriber);
        let hooks = Hooks::new(&Handle::current());
        let kinds = Kind::ConnectionReauthRequired.bit() | Kind::RequestStarted.bit();
        let log = tokio::spawn(write(hooks.subscribe(kinds, 4)));
        let about = "work".parse().unwrap();
        hooks.emit(Event::new(Kind::RequestStarted));
        hooks.emit(Event::new(Kind::ConnectionReauthRequired).about(&about, "github"));
        drop(hooks);
        log.await.unwrap();

        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("connection.reauth_required") && text.contains("WARN"), "{text}");
    }
}
