//! What a child gets to see: where the proxy is, and no secret.

use std::ffi::{OsStr, OsString};

/// Proxies for plain HTTP, as most clients read them. Requests to our own proxy must not go there.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];
const LOOPBACK: &str = "127.0.0.1,localhost,::1";

/// A variable to set, or to remove.
pub(super) type Change = (OsString, Option<OsString>);

/// What is different from our own environment. Variables that a connection reads a secret from stay with
/// us: the child is to use the proxy instead.
pub(super) fn changes(
    ours: impl Iterator<Item = (OsString, OsString)>,
    secrets: &[OsString],
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<Change> {
    let ours: Vec<(OsString, OsString)> = ours.filter(|(_, value)| !value.is_empty()).collect();
    let value_of =
        |wanted: &str| ours.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_os_str());
    let mut changes: Vec<Change> = secrets.iter().map(|name| (name.clone(), None)).collect();
    if PROXIES.iter().any(|name| value_of(name).is_some()) {
        let before = EXCEPTIONS.iter().find_map(|name| value_of(name));
        changes.extend(EXCEPTIONS.iter().map(|name| ((*name).into(), Some(with_loopback(before)))));
    }
    // Last: a variable that held the real key now holds the one that is none.
    changes.extend(variables.map(|(name, value)| (name.into(), Some(value.into()))));
    changes
}

fn with_loopback(before: Option<&OsStr>) -> OsString {
    match before {
        Some(all) if all == "*" => all.to_owned(),
        Some(before) => {
            let mut list = before.to_owned();
            list.push(",");
            list.push(LOOPBACK);
            list
        }
        None => LOOPBACK.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn changed(
        ours: &[(&str, &str)],
        secrets: &[&str],
        variables: &[(&str, &str)],
    ) -> Vec<(String, Option<String>)> {
        let os = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        let secrets: Vec<OsString> = secrets.iter().map(OsString::from).collect();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let text = |text: OsString| text.into_string().unwrap();
        let changes = changes(ours.iter().map(os), &secrets, variables);
        changes.into_iter().map(|(name, value)| (text(name), value.map(text))).collect()
    }

    fn set(name: &str, value: &str) -> (String, Option<String>) {
        (name.into(), Some(value.into()))
    }

    #[test]
    fn a_secret_stays_here_and_its_variable_may_be_set_to_what_is_none() {
        let changes = changed(&[("KEY", "real")], &["KEY", "OTHER"], &[("KEY", "ccproxy-local")]);
        assert_eq!(changes, [("KEY".into(), None), ("OTHER".into(), None), set("KEY", "ccproxy-local")]);
    }

    #[test]
    fn requests_to_us_do_not_take_the_way_out() {
        assert_eq!(changed(&[("NO_PROXY", "a")], &[], &[]), []);
        assert_eq!(changed(&[("http_proxy", "")], &[], &[]), []);
        let with = |exceptions: &[(&str, &str)]| {
            let ours = [&[("HTTP_PROXY", "http://p:3128")], exceptions].concat();
            changed(&ours, &[], &[]).pop().unwrap()
        };
        assert_eq!(with(&[]), set("NO_PROXY", "127.0.0.1,localhost,::1"));
        assert_eq!(
            with(&[("NO_PROXY", "corp.example")]),
            set("NO_PROXY", "corp.example,127.0.0.1,localhost,::1")
        );
        assert_eq!(with(&[("no_proxy", "*")]), set("NO_PROXY", "*"));
    }
}
