//! The provider as the host sees it, against mock services.

mod login;
mod placement;
mod probe;
mod record;
mod refusal;

use ccproxy_plugin_sdk::testing::Bench;
use serde_json::{Value, json};

use crate::ApiKey;

/// A connection with these settings whose `key` resolves to `key`.
fn configured(mut settings: Value, key: &str) -> Bench {
    settings["key"] = json!({ "env": "THE_KEY" });
    Bench::new::<ApiKey>(settings).with_secret("key", key)
}
