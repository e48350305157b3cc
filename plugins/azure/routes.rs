//! Where a directory is: its endpoints, its issuer, its cloud, and what a route leads to.

use ccproxy_plugin_oauth::id_token::TENANT;
use ccproxy_plugin_oauth::{AuthorizationServer, Endpoint};
use ccproxy_plugin_sdk::{Description, Error, Flow};
use url::Url;

use crate::schemas::Settings;

/// A cloud: its login hosts, the host that its tokens name as issuer, its Graph.
struct Cloud {
    logins: &'static [&'static str],
    issuer: &'static str,
    graph: &'static str,
}

/// The first login host is the one that Microsoft writes today; the others are its older names, whose
/// tokens name the issuer all the same.
const CLOUDS: [Cloud; 3] = [
    Cloud {
        logins: &["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
        issuer: "login.microsoftonline.com",
        graph: "https://graph.microsoft.com",
    },
    Cloud {
        logins: &["login.microsoftonline.us", "login.usgovcloudapi.net"],
        issuer: "login.microsoftonline.us",
        graph: "https://graph.microsoft.us",
    },
    Cloud {
        logins: &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
        issuer: "login.partner.microsoftonline.cn",
        graph: "https://microsoftgraph.chinacloudapi.cn",
    },
];

/// The tenant of all personal Microsoft accounts.
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// A tenant as endpoints name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tenant {
    /// Whoever signs in.
    Common,
    /// Work and school accounts of any tenant.
    Organizations,
    /// Personal accounts.
    Consumers,
    /// One, by its GUID.
    Id(String),
    /// One, by a domain of it.
    Domain(String),
}

/// An Entra directory, resolved from the settings.
pub(crate) struct Directory {
    pub(crate) tenant: Tenant,
    /// Endpoints, and the issuer as far as the settings know it: it marks whose a grant is.
    pub(crate) server: AuthorizationServer,
    authority: String,
    /// The issuer of its ID tokens; with several tenants a template.
    issuer: String,
    graph: &'static str,
    upstream: String,
}

impl Tenant {
    fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "common" => Ok(Self::Common),
            "organizations" => Ok(Self::Organizations),
            "consumers" => Ok(Self::Consumers),
            _ if is_guid(&text) => Ok(Self::Id(text)),
            _ if is_domain(&text) => Ok(Self::Domain(text)),
            _ => Err(Error::invalid_config(format!(
                "setting `tenant` = `{}` is no tenant",
                text.escape_debug()
            ))
            .with_hint("organizations, common, consumers, the tenant id, or a domain such as contoso.onmicrosoft.com")),
        }
    }

    /// As URLs write it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Common => "common",
            Self::Organizations => "organizations",
            Self::Consumers => "consumers",
            Self::Id(name) | Self::Domain(name) => name,
        }
    }

    /// Whether it is one tenant, in which an application can act for itself.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self, Self::Id(_) | Self::Domain(_))
    }

    /// Whether somebody of the tenant `id` may be who logs in here. Which one a domain belongs to is
    /// not known here; its endpoints let nobody else in.
    pub(crate) fn admits(&self, id: &str) -> bool {
        match self {
            Self::Id(own) => own.eq_ignore_ascii_case(id),
            Self::Consumers => id.eq_ignore_ascii_case(PERSONAL),
            Self::Organizations => !id.eq_ignore_ascii_case(PERSONAL),
            Self::Common | Self::Domain(_) => true,
        }
    }
}

impl Directory {
    /// # Errors
    /// A tenant, an authority or an endpoint that cannot be one, naming the key.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let tenant = Tenant::parse(settings.tenant.as_deref().unwrap_or("organizations"))?;
        let authority = authority(settings.authority.as_deref())?;
        let cloud = cloud(&authority);
        let base = authority.as_str().trim_end_matches('/').to_owned();
        let issuer_base = match cloud {
            Some(cloud) => format!("https://{}", cloud.issuer),
            None => base.clone(),
        };
        let graph = cloud.map_or(CLOUDS[0].graph, |cloud| cloud.graph);
        let name = tenant.as_str();
        let below = |path: &str| {
            let url = format!("{base}/{name}/{path}");
            Endpoint::parse(&url).map(Some).map_err(|bad| Error::invalid_config(format!("`authority` {bad}")))
        };
        let mut server = AuthorizationServer {
            issuer: Some(format!("{issuer_base}/{name}/v2.0")),
            authorization_endpoint: below("oauth2/v2.0/authorize")?,
            token_endpoint: below("oauth2/v2.0/token")?,
            device_authorization_endpoint: below("oauth2/v2.0/devicecode")?,
            jwks_uri: below("discovery/v2.0/keys")?,
            ..AuthorizationServer::default()
        };
        settings.endpoints.apply(&mut server)?;
        let upstream = settings.upstream.clone().unwrap_or_else(|| format!("{graph}/v1.0"));
        let issuer = format!("{issuer_base}/{TENANT}/v2.0");
        Ok(Self { tenant, server, authority: base, issuer, graph, upstream })
    }

    /// The issuer of ID tokens, for whichever tenant a token names.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Microsoft Graph of this cloud, the resource of scopes that name none.
    pub(crate) fn graph(&self) -> &'static str {
        self.graph
    }

    /// What a route of this connection leads to.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The resource that the upstream is, most likely: its origin.
    pub(crate) fn upstream_resource(&self) -> Option<String> {
        Some(Url::parse(&self.upstream).ok()?.origin().ascii_serialization())
    }

    /// The page on which an administrator consents for the whole tenant to all that was registered.
    pub(crate) fn admin_consent(&self, client_id: &str) -> Result<Url, Error> {
        self.consent_page(self.tenant.as_str(), "adminconsent", client_id)
    }

    /// The page on which an administrator consents to scopes, which then has a redirect of its own.
    ///
    /// # Errors
    /// A tenant without administrators.
    pub(crate) fn admin_consent_of_scopes(&self, client_id: &str) -> Result<Url, Error> {
        let tenant = match &self.tenant {
            // Whoever can agree is of an organization.
            Tenant::Common => "organizations",
            Tenant::Consumers => {
                return Err(Error::invalid_config(
                    "`admin_consent` needs an organization, and `tenant` is `consumers`",
                )
                .with_hint("personal accounts have no administrator: leave `admin_consent` out"));
            }
            tenant => tenant.as_str(),
        };
        self.consent_page(tenant, "v2.0/adminconsent", client_id)
    }

    fn consent_page(&self, tenant: &str, place: &str, client_id: &str) -> Result<Url, Error> {
        let page = format!("{}/{tenant}/{place}", self.authority);
        let mut url = Url::parse(&page)
            .map_err(|error| Error::invalid_config(format!("`authority` has no pages: {error}")))?;
        url.query_pairs_mut().append_pair("client_id", client_id);
        Ok(url)
    }
}

/// What a connection leads to and how it can log in.
///
/// # Errors
/// Settings that cannot work.
pub(crate) fn describe(settings: &Settings) -> Result<Description, Error> {
    let directory = Directory::of(settings)?;
    let mut flows = Vec::from_iter(settings.flow);
    let machine = settings.client_secret.is_some().then_some(Flow::ClientCredentials);
    let offered = [Flow::Browser, Flow::Device, Flow::Paste].into_iter().chain(machine).chain([Flow::Token]);
    flows.extend(offered.filter(|flow| settings.flow != Some(*flow)));
    Ok(Description {
        upstream: Some(directory.upstream().to_owned()),
        flows,
        needs_login: !settings.is_client_credentials(),
        ..Description::default()
    })
}

fn cloud(authority: &Url) -> Option<&'static Cloud> {
    let host = authority.host_str()?;
    CLOUDS.iter().find(|cloud| cloud.logins.contains(&host))
}

/// The base URL of the login pages; other clouds have other ones.
fn authority(text: Option<&str>) -> Result<Url, Error> {
    let text = text.unwrap_or("https://login.microsoftonline.com");
    let endpoint = Endpoint::setting("authority", text)?;
    let url = Url::parse(endpoint.as_str())
        .map_err(|error| Error::invalid_config(format!("setting `authority` = `{text}`: {error}")))?;
    if url.query().is_some() {
        return Err(Error::invalid_config(format!("setting `authority` = `{text}` is not a base URL")));
    }
    // MSAL's authorities end in the tenant.
    if cloud(&url).is_some() && url.path() != "/" {
        let tenant = url.path().trim_matches('/').split('/').next().unwrap_or_default().to_owned();
        return Err(Error::invalid_config(format!("setting `authority` = `{text}` has a tenant in it"))
            .with_hint(format!(
                "authority = \"{}\", tenant = \"{tenant}\"",
                url.origin().ascii_serialization()
            )));
    }
    Ok(url)
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// A domain has two labels or more, so that a misspelt `organisations` is none.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric())
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_sdk::serde_json::{Value, from_value, json};
    use pretty_assertions::assert_eq;

    const ID: &str = "11111111-2222-3333-4444-555555555555";

    fn directory(settings: Value) -> Result<Directory, Error> {
        Directory::of(&from_value(settings).unwrap())
    }

    fn endpoints(settings: Value) -> [String; 4] {
        let server = directory(settings).unwrap().server;
        let endpoints = [
            server.authorization_endpoint,
            server.token_endpoint,
            server.device_authorization_endpoint,
            server.jwks_uri,
        ];
        endpoints.map(|endpoint| endpoint.unwrap().as_str().to_owned())
    }

    #[test]
    fn endpoints_lie_below_the_authority_and_the_tenant() {
        assert_eq!(
            endpoints(json!({})),
            [
                "https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize",
                "https://login.microsoftonline.com/organizations/oauth2/v2.0/token",
                "https://login.microsoftonline.com/organizations/oauth2/v2.0/devicecode",
                "https://login.microsoftonline.com/organizations/discovery/v2.0/keys",
            ]
        );
        let [_, token, _, keys] = endpoints(json!({
            "authority": "http://127.0.0.1:9000/azure/",
            "tenant": "Contoso.onmicrosoft.com",
            "jwks_uri": "https://keys.example.com/",
        }));
        assert_eq!(token, "http://127.0.0.1:9000/azure/contoso.onmicrosoft.com/oauth2/v2.0/token");
        assert_eq!(keys, "https://keys.example.com/");
    }

    #[test]
    fn a_tenant_is_one_of_three_words_a_guid_or_a_domain() {
        let parsed = |text: &str| Tenant::parse(text).ok();
        assert_eq!(parsed("Common"), Some(Tenant::Common));
        assert_eq!(parsed("organizations"), Some(Tenant::Organizations));
        assert_eq!(parsed(" consumers "), Some(Tenant::Consumers));
        assert_eq!(parsed(ID), Some(Tenant::Id(ID.into())));
        assert_eq!(parsed("contoso.onmicrosoft.com"), Some(Tenant::Domain("contoso.onmicrosoft.com".into())));
        for wrong in [
            "",
            "organisations",
            "contoso",
            "a/b.c",
            "../x.y",
            "-a.b",
            "a..b",
            "https://contoso.com",
            "x.y?z",
        ] {
            let error = directory(json!({ "tenant": wrong })).err().unwrap();
            assert_eq!(error.message, format!("setting `tenant` = `{wrong}` is no tenant"));
        }
    }

    #[test]
    fn an_older_or_sovereign_login_host_has_its_clouds_issuer_and_graph() {
        for (authority, issuer, upstream) in [
            (
                "https://login.windows.net",
                "https://login.microsoftonline.com",
                "https://graph.microsoft.com/v1.0",
            ),
            (
                "https://login.microsoftonline.us/",
                "https://login.microsoftonline.us",
                "https://graph.microsoft.us/v1.0",
            ),
            (
                "https://login.chinacloudapi.cn",
                "https://login.partner.microsoftonline.cn",
                "https://microsoftgraph.chinacloudapi.cn/v1.0",
            ),
        ] {
            let directory = directory(json!({ "authority": authority })).unwrap();
            assert_eq!(directory.issuer(), format!("{issuer}/{{tenantid}}/v2.0"));
            assert_eq!(directory.upstream(), upstream);
        }
    }

    #[test]
    fn an_authority_with_a_tenant_in_it_is_told_how_to_write_it() {
        let error = directory(json!({ "authority": "https://login.microsoftonline.com/contoso.com" }));
        assert_eq!(
            error.err().unwrap().hint.as_deref(),
            Some("authority = \"https://login.microsoftonline.com\", tenant = \"contoso.com\"")
        );
        for wrong in ["http://login.microsoftonline.com", "login.microsoftonline.com", "https://h/?a=b"] {
            assert!(directory(json!({ "authority": wrong })).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tenant_admits_its_own() {
        let admits = |tenant: &str, id: &str| Tenant::parse(tenant).unwrap().admits(id);
        assert!(admits(ID, &ID.to_uppercase()) && !admits(ID, PERSONAL));
        assert!(admits("organizations", ID) && !admits("organizations", PERSONAL));
        assert!(admits("consumers", PERSONAL) && !admits("consumers", ID));
        assert!(admits("common", PERSONAL) && admits("contoso.com", ID));
    }
}
