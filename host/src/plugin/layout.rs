//! abi_stable's refusals, some thousand lines each, as one.

use abi_stable::library::LibraryError;
use ccproxy_plugin_abi as abi;

use super::codes::one_line;
use super::refusal::Refusal;

/// Longest path of types and fields that still helps.
const MAX_PATH: usize = 6;

pub(super) fn refusal(error: &LibraryError) -> Refusal {
    let cure = "rebuild the plugin with this host's ccproxy-plugin-sdk, or update ccproxy";
    let what = match error {
        LibraryError::AbiInstability(_) => condense(&error.to_string()),
        LibraryError::InvalidAbiHeader(_) => "it was made with another abi_stable".into(),
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
            format!("root module {actual_version}, wanted {expected_version}")
        }
        other => condense(&other.to_string()),
    };
    Refusal::Layout { ours: abi::ABI_VERSION, what, cure }
}

/// The first difference and where it is. abi_stable prints, for each, the stack of types and fields
/// that led there, then `Error:` and what was expected and found.
fn condense(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let Some(at) = lines.iter().position(|line| line.starts_with("Error:")) else {
        return one_line(lines.first().copied().unwrap_or("unknown difference")).chars().take(200).collect();
    };
    let mut place: Vec<&str> = lines[..at]
        .iter()
        .filter_map(|line| line.strip_prefix("field_name:").or_else(|| line.strip_prefix("type:")))
        .map(str::trim)
        .collect();
    place.drain(..place.len().saturating_sub(MAX_PATH));
    let value_after = |label: &str| {
        let label_at = lines[at..].iter().position(|line| line.starts_with(label))?;
        lines.get(at + label_at + 1).copied()
    };
    let mut what = lines[at].trim_start_matches("Error:").trim().to_owned();
    if let (Some(expected), Some(found)) = (value_after("Expected:"), value_after("Found:")) {
        what.push_str(&format!(": expected {expected}, found {found}"));
    }
    if !place.is_empty() {
        what.push_str(&format!(" in {}", place.join(" > ")));
    }
    one_line(&what).chars().take(400).collect()
}
