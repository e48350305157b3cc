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
