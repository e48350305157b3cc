//! From a trusted candidate to a provider that takes calls. Runs on the plugin's cell.

use std::path::Path;

use ccproxy_plugin_abi::ProviderBox;
use serde_json::Value;

use super::codes;
use super::images::Images;
use super::loader::Candidate;
use super::provider::flat;
use super::refusal::Refusal;
use super::services::Lent;

/// Settings schemas are some KiB.
const MAX_SCHEMA: usize = 1 << 20;

/// Maps, creates, starts. Answers the provider and the schema of its settings.
pub(super) async fn start(
    candidate: Candidate,
    lent: Lent,
    images: &Images,
    scratch: &Path,
) -> Result<(ProviderBox, Value), Refusal> {
    let id = candidate.manifest.id.clone();
    let failed = |error| Refusal::Start(codes::fault(&id, error));
    let module = candidate.map(images, scratch)?;
    drop(candidate);
    let schema = flat(module.settings_schema()()).map_err(failed)?;
    let schema = settings_schema(&schema)?;
    lent.knows(&schema);
    let provider = flat(module.create()(lent.into_box())).map_err(failed)?;
    flat(provider.start().await).map_err(failed)?;
    Ok((provider, schema))
}

fn settings_schema(text: &str) -> Result<Value, Refusal> {
    let unusable = |why: String| Refusal::Manifest(format!("its settings schema {why}"));
    if text.len() > MAX_SCHEMA {
        return Err(unusable(format!("has {} bytes", text.len())));
    }
    match serde_json::from_str(text) {
        Ok(schema @ Value::Object(_)) => Ok(schema),
        Ok(_) => Err(unusable("is no object".into())),
        Err(error) => Err(unusable(format!("is no JSON: {error}"))),
    }
}
