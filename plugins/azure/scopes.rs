//! What tokens are asked for: scopes of one resource, because a token is for one.

use ccproxy_plugin_sdk::{Error, Target};

use crate::routes::Directory;
use crate::schemas::Conn;

/// OpenID's own scopes, asked for with every login and refresh: an ID token that says whose the grant
/// is, and a refresh token that goes on.
const OPENID: [&str; 3] = ["openid", "profile", "offline_access"];

/// All of a resource that was registered for the application (or consented to).
const DEFAULT: &str = "/.default";

/// The scopes of the connection's own tokens: those of the settings, else all of the upstream.
///
/// # Errors
/// Scopes of two resources.
pub(crate) fn own(connection: &Conn, directory: &Directory) -> Result<Vec<String>, Error> {
    let scopes = match connection.settings.scopes.as_slice() {
        [] => vec![directory.upstream_resource().unwrap_or_else(|| directory.graph().into()) + DEFAULT],
        written => written.to_vec(),
    };
    of_one_resource(scopes, directory)
}

/// The scopes of a target. A resource (RFC 8707) is written as a scope here: the parameter is of the
/// older endpoints, and refused by these.
///
/// # Errors
/// Scopes of two resources, or an audience, which cannot be asked for.
pub(crate) fn of_target(
    target: &Target,
    connection: &Conn,
    directory: &Directory,
) -> Result<Vec<String>, Error> {
    if !target.audience.is_empty() {
        return Err(Error::invalid_config("`audience` cannot be asked for here")
            .with_hint(format!("scopes = [\"{}{DEFAULT}\"]", target.audience)));
    }
    let mut scopes = target.scopes.clone();
    if !target.resource.is_empty() && scopes.is_empty() {
        scopes.push(format!("{}{DEFAULT}", target.resource));
    }
    if scopes.is_empty() { own(connection, directory) } else { of_one_resource(scopes, directory) }
}

/// What a person is asked for: `scopes` and OpenID's.
pub(crate) fn of_a_person(scopes: &[String]) -> Vec<String> {
    let openid = OPENID.into_iter().filter(|scope| !scopes.iter().any(|asked| asked == scope));
    openid.map(str::to_owned).chain(scopes.iter().cloned()).collect()
}

/// The same without OpenID's.
pub(crate) fn without_openid(scopes: &[String]) -> Vec<String> {
    scopes.iter().filter(|scope| !OPENID.contains(&scope.as_str())).cloned().collect()
}

/// What an application asks for in its own name: all that was registered for it, of one resource.
///
/// # Errors
/// Anything else, which would be refused there.
pub(crate) fn of_an_application(scopes: &[String]) -> Result<(), Error> {
    match scopes {
        [one] if one.ends_with(DEFAULT) => Ok(()),
        [one] => Err(wants_default(one)),
        several => {
            let wrong = several.iter().find(|scope| !scope.ends_with(DEFAULT)).unwrap_or(&several[0]);
            Err(wants_default(wrong))
        }
    }
}

fn wants_default(scope: &str) -> Error {
    let resource = match resource(scope) {
        Some(Resource::Named(name)) => name,
        _ => CLIENT_CREDENTIALS_EXAMPLE,
    };
    Error::invalid_config(format!("client credentials cannot ask for the scope `{scope}`"))
        .with_hint(format!("scopes = [\"{resource}{DEFAULT}\"]: what the app registration was granted"))
}

const CLIENT_CREDENTIALS_EXAMPLE: &str = "https://graph.microsoft.com";

/// Whose a scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'a> {
    /// It names none: Graph's.
    Graph,
    /// What stands before its last slash.
    Named(&'a str),
}

/// `None` for OpenID's own, which go with any.
fn resource(scope: &str) -> Option<Resource<'_>> {
    if OPENID.contains(&scope) || scope == "email" {
        return None;
    }
    Some(match scope.rsplit_once('/') {
        Some((resource, _)) => Resource::Named(resource),
        None => Resource::Graph,
    })
}

/// A token is for one resource: a request for two is refused.
fn of_one_resource(scopes: Vec<String>, directory: &Directory) -> Result<Vec<String>, Error> {
    let name = |resource| match resource {
        Resource::Graph => directory.graph(),
        // `https://management.core.windows.net//.default` names what ends in a slash.
        Resource::Named(name) => name.trim_end_matches('/'),
    };
    let mut resources = scopes.iter().filter_map(|scope| resource(scope)).map(name);
    let Some(first) = resources.next() else { return Ok(scopes) };
    if let Some(other) = resources.find(|other| !other.eq_ignore_ascii_case(first)) {
        return Err(Error::invalid_config(format!(
            "a token is for one resource, not for `{first}` and `{other}`"
        ))
        .with_hint(format!("the login serves both: give `{other}` a route of its own, with its `scopes`")));
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_sdk::serde_json::{Value, json};
    use ccproxy_plugin_sdk::testing;
    use pretty_assertions::assert_eq;

    const ARM: &str = "https://management.azure.com/.default";

    fn connection(settings: Value) -> Conn {
        testing::connection(settings, |_| unreachable!("scopes are words"))
    }

    fn target(settings: Value, target: Target) -> Result<Vec<String>, String> {
        let connection = connection(settings);
        let directory = Directory::of(&connection.settings).unwrap();
        of_target(&target, &connection, &directory).map_err(|error| error.message)
    }

    fn scopes(scopes: &[&str]) -> Target {
        Target { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..Target::default() }
    }

    #[test]
    fn a_target_without_wishes_is_all_of_the_upstream() {
        let none = Target::default;
        assert_eq!(target(json!({}), none()), Ok(vec!["https://graph.microsoft.com/.default".into()]));
        let dataverse = json!({ "upstream": "https://contoso.crm4.dynamics.com/api/data/v9.2" });
        assert_eq!(target(dataverse, none()), Ok(vec!["https://contoso.crm4.dynamics.com/.default".into()]));
        assert_eq!(target(json!({ "scopes": ["User.Read"] }), none()), Ok(vec!["User.Read".into()]));
    }

    #[test]
    fn a_resource_becomes_a_scope() {
        let arm = Target { resource: "https://management.azure.com".into(), ..Target::default() };
        assert_eq!(target(json!({}), arm), Ok(vec![ARM.into()]));
        let audience = Target { audience: "api://app".into(), ..Target::default() };
        assert_eq!(target(json!({}), audience), Err("`audience` cannot be asked for here".into()));
    }

    #[test]
    fn a_token_is_for_one_resource() {
        for one in [
            &["User.Read", "https://graph.microsoft.com/Mail.Read", "openid", "email"][..],
            &["https://management.core.windows.net//.default"],
            &["api://0b1c/access", "api://0b1c/read"],
            &["openid", "offline_access"],
        ] {
            assert!(target(json!({}), scopes(one)).is_ok(), "{one:?}");
        }
        assert_eq!(
            target(json!({}), scopes(&["User.Read", ARM])),
            Err("a token is for one resource, not for `https://graph.microsoft.com` and `https://management.azure.com`"
                .into())
        );
    }

    #[test]
    fn an_application_asks_for_the_default_of_one_resource() {
        let asked = |scopes: &[&str]| {
            let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            of_an_application(&scopes).map_err(|error| (error.message, error.hint.unwrap_or_default()))
        };
        assert_eq!(asked(&[ARM]), Ok(()));
        assert_eq!(
            asked(&["https://vault.azure.net/read"]),
            Err((
                "client credentials cannot ask for the scope `https://vault.azure.net/read`".into(),
                "scopes = [\"https://vault.azure.net/.default\"]: what the app registration was granted"
                    .into()
            ))
        );
        assert!(asked(&["User.Read"]).is_err() && asked(&[ARM, "User.Read"]).is_err());
    }

    #[test]
    fn a_person_is_asked_for_openids_scopes_too_and_for_none_twice() {
        assert_eq!(
            of_a_person(&["offline_access".to_owned(), ARM.to_owned()]),
            ["openid", "profile", "offline_access", ARM]
        );
    }
}
