//! Where GitHub is: its pages, its API, and what a route leads to.
//!
//! Three layouts: github.com, a tenant of ghe.com (`SUB.ghe.com`, API at `api.SUB.ghe.com`) and
//! Enterprise Server (API below `/api/v3` of the same host).

use ccproxy_plugin_oauth::{AuthorizationServer, Endpoint};
use ccproxy_plugin_sdk::Error;
use url::Url;

use crate::schemas::Settings;

/// A GitHub, resolved from the settings.
pub(crate) struct Site {
    web: Url,
    api: Url,
    upstream: Option<Url>,
    /// Its login endpoints. There is no discovery, no issuer and no ID token.
    pub(crate) server: AuthorizationServer,
}

impl Site {
    /// # Errors
    /// A host or base URL that cannot be one, naming the key.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let host = host(settings.host.as_deref().unwrap_or("github.com"))?;
        let (web, api) = match host.as_str() {
            "github.com" => ("https://github.com".into(), "https://api.github.com".into()),
            host if host.ends_with(".ghe.com") => (format!("https://{host}"), format!("https://api.{host}")),
            host => (format!("https://{host}"), format!("https://{host}/api/v3")),
        };
        let web = base("web_url", settings.web_url.as_ref().unwrap_or(&web))?;
        let api = base("api_url", settings.api_url.as_ref().unwrap_or(&api))?;
        let upstream = settings.upstream.as_ref().map(|url| base("upstream", url)).transpose()?;
        let mut server = AuthorizationServer {
            authorization_endpoint: Some(below("web_url", &web, "login/oauth/authorize")?),
            token_endpoint: Some(below("web_url", &web, "login/oauth/access_token")?),
            device_authorization_endpoint: Some(below("web_url", &web, "login/device/code")?),
            userinfo_endpoint: Some(below("api_url", &api, "user")?),
            ..AuthorizationServer::default()
        };
        settings.endpoints.apply(&mut server)?;
        Ok(Self { web, api, upstream, server })
    }

    /// What a route of this connection leads to.
    pub(crate) fn upstream(&self) -> &str {
        self.upstream.as_ref().unwrap_or(&self.api).as_str().trim_end_matches('/')
    }

    /// The host of the pages: what people call this GitHub.
    pub(crate) fn host(&self) -> &str {
        self.web.host_str().unwrap_or_default()
    }

    /// The host of the API, for messages.
    pub(crate) fn api_host(&self) -> &str {
        self.api.host_str().unwrap_or_default()
    }

    /// Where the account is read.
    pub(crate) fn user(&self) -> String {
        self.server
            .userinfo_endpoint
            .as_ref()
            .map_or_else(|| page(&self.api, "user"), |url| url.as_str().into())
    }

    /// Where the account's addresses are read.
    pub(crate) fn emails(&self) -> String {
        page(&self.api, "user/emails")
    }

    /// Where a token of this application is revoked, with the client's own credentials.
    pub(crate) fn revocation(&self, client_id: &str) -> String {
        if let Some(written) = &self.server.revocation_endpoint {
            return written.as_str().into();
        }
        let mut url = self.api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["applications", client_id, "token"]);
        }
        url.into()
    }

    /// Where a person registers an OAuth app.
    pub(crate) fn registration(&self) -> String {
        page(&self.web, "settings/applications/new")
    }

    /// Where a person sees the applications that were let in.
    pub(crate) fn authorized_applications(&self) -> String {
        page(&self.web, "settings/applications")
    }

    /// Where a person makes a personal access token.
    pub(crate) fn personal_tokens(&self) -> String {
        page(&self.web, "settings/tokens")
    }
}

fn page(base: &Url, path: &str) -> String {
    format!("{}/{path}", base.as_str().trim_end_matches('/'))
}

/// An endpoint below a base URL: https, or loopback.
fn below(key: &str, base: &Url, path: &str) -> Result<Endpoint, Error> {
    Endpoint::parse(&page(base, path)).map_err(|bad| Error::invalid_config(format!("`{key}` {bad}")))
}

/// A host name, with a port if need be, and nothing around it.
fn host(text: &str) -> Result<String, Error> {
    let wrong = || {
        Error::invalid_config(format!("setting `host` = `{}` is not a host name", text.escape_debug()))
            .with_hint(
                "the name alone, such as `ghe.example.com`; for whole URLs there are `web_url` and `api_url`",
            )
    };
    let text = text.to_ascii_lowercase();
    let url = Url::parse(&format!("https://{text}/")).map_err(|_| wrong())?;
    let authority = match (url.host_str(), url.port()) {
        (Some(name), Some(port)) => format!("{name}:{port}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => return Err(wrong()),
    };
    // What was parsed away was a user, a path or a query: not a host name.
    if authority == text { Ok(authority) } else { Err(wrong()) }
}

/// The base URL in the setting `key`.
fn base(key: &str, text: &str) -> Result<Url, Error> {
    let url = Url::parse(text)
        .map_err(|error| Error::invalid_config(format!("setting `{key}` = `{text}`: {error}")))?;
    if !url.has_host() || url.query().is_some() || url.fragment().is_some() {
        return Err(Error::invalid_config(format!("setting `{key}` = `{text}` is not a base URL")));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_sdk::serde_json::{Value, from_value, json};
    use pretty_assertions::assert_eq;

    fn site(settings: Value) -> Result<Site, Error> {
        Site::of(&from_value(settings).unwrap())
    }

    fn endpoints(settings: Value) -> [String; 4] {
        let site = site(settings).unwrap();
        let server = &site.server;
        let logins = [
            server.authorization_endpoint(),
            server.token_endpoint(),
            server.device_authorization_endpoint(),
        ];
        let [authorize, token, device] = logins.map(|endpoint| endpoint.unwrap().as_str().to_owned());
        [authorize, token, device, site.user()]
    }

    #[test]
    fn github_dot_com_has_its_api_at_a_host_of_its_own() {
        assert_eq!(
            endpoints(json!({})),
            [
                "https://github.com/login/oauth/authorize",
                "https://github.com/login/oauth/access_token",
                "https://github.com/login/device/code",
                "https://api.github.com/user",
            ]
        );
    }

    #[test]
    fn enterprise_server_has_its_api_below_api_v3() {
        assert_eq!(
            endpoints(json!({ "host": "GHE.example.com:8443" })),
            [
                "https://ghe.example.com:8443/login/oauth/authorize",
                "https://ghe.example.com:8443/login/oauth/access_token",
                "https://ghe.example.com:8443/login/device/code",
                "https://ghe.example.com:8443/api/v3/user",
            ]
        );
    }

    #[test]
    fn a_tenant_of_ghe_com_has_its_api_at_a_subdomain() {
        let site = site(json!({ "host": "octo.ghe.com" })).unwrap();
        assert_eq!(site.user(), "https://api.octo.ghe.com/user");
        assert_eq!(site.emails(), "https://api.octo.ghe.com/user/emails");
        assert_eq!(site.upstream(), "https://api.octo.ghe.com");
        assert_eq!(site.host(), "octo.ghe.com");
    }

    #[test]
    fn base_urls_and_endpoints_win_one_by_one() {
        let settings = json!({
            "web_url": "http://127.0.0.1:9000/github/",
            "api_url": "http://127.0.0.1:9000/api",
            "token_endpoint": "http://127.0.0.1:9001/token",
        });
        assert_eq!(
            endpoints(settings),
            [
                "http://127.0.0.1:9000/github/login/oauth/authorize",
                "http://127.0.0.1:9001/token",
                "http://127.0.0.1:9000/github/login/device/code",
                "http://127.0.0.1:9000/api/user",
            ]
        );
        let git = site(json!({ "upstream": "https://github.com" })).unwrap();
        assert_eq!(
            (git.upstream(), git.user().as_str()),
            ("https://github.com", "https://api.github.com/user")
        );
    }

    #[test]
    fn a_client_id_cannot_leave_its_path_segment() {
        let site = site(json!({ "host": "ghe.example.com" })).unwrap();
        assert_eq!(
            site.revocation("Iv1/../x"),
            "https://ghe.example.com/api/v3/applications/Iv1%2F..%2Fx/token"
        );
    }

    #[test]
    fn a_revocation_endpoint_written_by_hand_is_taken_as_it_is() {
        let site = site(json!({ "revocation_endpoint": "https://ghe.example.com/revoke" })).unwrap();
        assert_eq!(site.revocation("Iv1"), "https://ghe.example.com/revoke");
    }

    #[test]
    fn a_host_is_a_name_and_nothing_else() {
        for wrong in ["https://ghe.example.com", "ghe.example.com/", "me@ghe.example.com", "", "a b"] {
            let error = site(json!({ "host": wrong })).err().unwrap();
            assert_eq!(error.message, format!("setting `host` = `{wrong}` is not a host name"));
        }
        let error = site(json!({ "api_url": "https://h/?a" })).err().unwrap();
        assert_eq!(error.message, "setting `api_url` = `https://h/?a` is not a base URL");
    }
}
