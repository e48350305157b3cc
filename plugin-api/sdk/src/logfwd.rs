//! Forwards this image's `tracing` events, with their fields and spans, to the host's log.
//!
//! Each image has its own statics, so the host's subscriber does not reach it. The host's current
//! span applies by itself, because plugin calls are polled inside it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ccproxy_plugin_abi::abi_stable::std_types::RSlice;
use ccproxy_plugin_abi::code::level;
use ccproxy_plugin_abi::{HostApiBox, LogField, LogRecord};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Level, Metadata, Subscriber};

/// Installs the forwarder once per image. A second call keeps the first.
pub(crate) fn install(host: Arc<HostApiBox>) {
    let forward = Forward { host, next_id: AtomicU64::new(1), spans: Mutex::default() };
    let _ = tracing_core::dispatcher::set_global_default(tracing_core::Dispatch::new(forward));
}

struct Forward {
    host: Arc<HostApiBox>,
    next_id: AtomicU64,
    spans: Mutex<HashMap<u64, Span>>,
}

struct Span {
    name: &'static str,
    fields: String,
    handles: usize,
}

thread_local! {
    /// The spans this thread is in, outermost first.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Forward {
    fn spans(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The host's filter may change at any time, so it is asked each time.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.host.log_enabled(number(*metadata.level()), metadata.target().into())
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = Span { name: attributes.metadata().name(), fields: fields.rendered(), handles: 1 };
        self.spans().insert(id, span);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.fields.push_str(&fields.rendered());
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut seen = Fields::default();
        event.record(&mut seen);
        let fields: Vec<_> = seen
            .values
            .iter()
            .map(|(name, value)| LogField { name: (*name).into(), value: value.as_str().into() })
            .collect();
        let entered = ENTERED.try_with(|entered| entered.borrow().clone()).unwrap_or_default();
        let known = self.spans();
        let spans: Vec<_> = entered
            .iter()
            .filter_map(|id| known.get(id))
            .map(|span| LogField { name: span.name.into(), value: span.fields.as_str().into() })
            .collect();
        self.host.log(&LogRecord {
            level: number(*metadata.level()),
            target: metadata.target().into(),
            file: metadata.file().unwrap_or_default().into(),
            line: metadata.line().unwrap_or_default(),
            message: seen.message.as_str().into(),
            fields: RSlice::from_slice(&fields),
            spans: RSlice::from_slice(&spans),
        });
    }

    fn enter(&self, id: &Id) {
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            if let Some(at) = entered.iter().rposition(|entry| *entry == id.into_u64()) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.spans();
        let Some(span) = spans.get_mut(&id.into_u64()) else { return false };
        span.handles -= 1;
        let closed = span.handles == 0;
        if closed {
            spans.remove(&id.into_u64());
        }
        closed
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, String)>,
}

impl Fields {
    fn rendered(&self) -> String {
        self.values.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, "{name}={value} ");
            text
        })
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => self.values.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}");
            }
            name => self.values.push((name, format!("{value:?}"))),
        }
    }
}

fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => level::ERROR,
        Level::WARN => level::WARN,
        Level::INFO => level::INFO,
        Level::DEBUG => level::DEBUG,
        Level::TRACE => level::TRACE,
    }
}
