//! Query strings and form bodies.

use url::form_urlencoded;

/// The parameters of a query or a form, in the order they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// A JSON object of strings, which GitHub takes in place of a form.
    pub(crate) fn from_json(body: &[u8]) -> Self {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(body).unwrap_or_default();
        Self(
            object.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect(),
        )
    }

    /// The value of a parameter. One sent without a value counts as omitted (RFC 6749 section 3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The first name that comes twice, which RFC 6749 section 3.2 forbids; `resource` may (RFC 8707).
    pub(crate) fn repeated(&self) -> Option<&str> {
        self.0.iter().enumerate().find_map(|(i, (name, _))| {
            let before = self.0[..i].iter().any(|(n, _)| n == name);
            (before && name != "resource").then_some(name.as_str())
        })
    }
}
