//! Scopes and whose they are. One request is for one resource; a resource is known to the tenant or not, and an
//! app has consent for it or not.

use super::problem::Problem;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) uri: &'static str,
    /// Consented to by an administrator, long ago.
    consented: bool,
}

const RESOURCES: [Resource; 5] = [
    Resource { uri: "https://graph.microsoft.com", consented: true },
    Resource { uri: "https://management.azure.com", consented: true },
    Resource { uri: "https://contoso.crm4.dynamics.com", consented: true },
    Resource { uri: "https://api.powerplatform.com", consented: true },
    // Nobody agreed to this one yet.
    Resource { uri: "https://vault.azure.net", consented: false },
];

/// A `scope` parameter, understood.
pub(super) struct Asked {
    pub(super) resource: &'static Resource,
    /// The scopes of the resource, as written.
    pub(super) of_resource: Vec<String>,
    pub(super) openid: bool,
    pub(super) offline: bool,
}

impl Asked {
    pub(super) fn parse(scope: &str) -> Result<Self, Problem> {
        let (mut openid, mut offline) = (false, false);
        let mut found: Option<&'static Resource> = None;
        let mut of_resource = Vec::new();
        for scope in scope.split(' ').filter(|scope| !scope.is_empty()) {
            match scope {
                "openid" => openid = true,
                "offline_access" => offline = true,
                "profile" | "email" => {}
                _ => {
                    let resource = resource_of(scope)?;
                    if found.is_some_and(|other| other != resource) {
                        return Err(Problem::several_resources());
                    }
                    found = Some(resource);
                    of_resource.push(scope.to_owned());
                }
            }
        }
        Ok(Self { resource: found.unwrap_or(&RESOURCES[0]), of_resource, openid, offline })
    }

    pub(super) fn is_default(&self) -> bool {
        matches!(self.of_resource.as_slice(), [one] if one.ends_with("/.default"))
    }

    /// Whether the app may have it: an administrator agreed, or the person did when asked at this login.
    pub(super) fn check_consent(&self, granted: &str, by_admin: bool) -> Result<(), Problem> {
        let asked_at_login = granted.split(' ').any(|uri| uri == self.resource.uri);
        match self.resource.consented || by_admin || asked_at_login {
            true => Ok(()),
            false => Err(Problem::consent_required()),
        }
    }
}

/// A scope without a resource is Graph's.
fn resource_of(scope: &str) -> Result<&'static Resource, Problem> {
    let Some((uri, _)) = scope.rsplit_once('/') else { return Ok(&RESOURCES[0]) };
    let found = RESOURCES.iter().find(|resource| resource.uri == uri.trim_end_matches('/'));
    found.ok_or_else(|| Problem::no_such_resource(uri))
}
