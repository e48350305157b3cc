//! Log records of plugins, in the host's log under the host's filter.

use ccproxy_plugin_abi::LogRecord;
use ccproxy_plugin_abi::abi_stable::std_types::RSlice;
use ccproxy_plugin_abi::code::level;

use super::codes::one_line;
use crate::model::Name;

/// The target of every record of a plugin; which plugin and module is in the fields.
macro_rules! at_level {
    ($level:expr, $then:ident $(, $rest:tt)*) => {
        match $level {
            level::ERROR => $then!(tracing::Level::ERROR $(, $rest)*),
            level::WARN => $then!(tracing::Level::WARN $(, $rest)*),
            level::INFO => $then!(tracing::Level::INFO $(, $rest)*),
            level::DEBUG => $then!(tracing::Level::DEBUG $(, $rest)*),
            _ => $then!(tracing::Level::TRACE $(, $rest)*),
        }
    };
}

/// Whether anybody wants records of this level.
pub(super) fn enabled(number: u8) -> bool {
    macro_rules! ask {
        ($level:expr) => {
            tracing::enabled!(target: "ccproxy::plugin", $level)
        };
    }
    at_level!(number, ask)
}

/// Logs a record with its fields and spans, and whose it is.
pub(super) fn forward(provider: &Name, record: &LogRecord<'_>) {
    let message = one_line(&record.message);
    let module = one_line(&record.target);
    let fields = rendered(&record.fields, "", " ");
    let spans = rendered(&record.spans, "{", "}:");
    macro_rules! write {
        ($level:expr) => {
            tracing::event!(
                target: "ccproxy::plugin",
                $level,
                %provider,
                module = module.as_str(),
                fields = fields.as_deref(),
                spans = spans.as_deref(),
                "{message}"
            )
        };
    }
    at_level!(record.level, write);
}

fn rendered(
    fields: &RSlice<'_, ccproxy_plugin_abi::LogField<'_>>,
    open: &str,
    close: &str,
) -> Option<String> {
    let separator = if open.is_empty() { "=" } else { open };
    let text: String = fields
        .iter()
        .map(|field| format!("{}{separator}{}{close}", field.name, field.value.trim_end()))
        .collect();
    (!text.is_empty()).then(|| one_line(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_abi::LogField;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_is_logged_with_its_fields_and_spans_under_its_provider() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            assert!(enabled(level::WARN) && !enabled(level::DEBUG));
            forward(
                &"acme".parse().unwrap(),
                &LogRecord {
                    level: level::WARN,
                    target: "acme::token".into(),
                    file: "plugin.rs".into(),
                    line: 7,
                    message: "token\nrenewed".into(),
                    fields: RSlice::from_slice(&[LogField { name: "status".into(), value: "200".into() }]),
                    spans: RSlice::from_slice(&[LogField { name: "renew".into(), value: "try=2 ".into() }]),
                },
            );
        });
        let line: serde_json::Value = serde_json::from_slice(&written.0.lock().unwrap()).unwrap();
        let fields = &line["fields"];
        assert_eq!(line["level"], "WARN");
        assert_eq!(fields["provider"], "acme");
        assert_eq!(fields["module"], "acme::token");
        assert_eq!(fields["message"], "token renewed");
        assert_eq!(fields["fields"], "status=200");
        assert_eq!(fields["spans"], "renew{try=2}:");
    }
}
