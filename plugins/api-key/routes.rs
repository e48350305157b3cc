//! Where a connection leads and where on a request its key goes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ccproxy_plugin_sdk::{Credential, Error, Request, Secret};
use url::Url;

use crate::schemas::{FieldText, KeyFormat, Preset, Probe, Region, Settings};

/// Anthropic refuses a request without a version; this one is for the probe, clients send their own.
const ANTHROPIC_VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// A connection's settings, resolved against its preset.
pub(crate) struct Route {
    pub(crate) upstream: Url,
    pub(crate) preset: Preset,
    placement: Placement,
    /// Fields sent beside the key because the settings name their values.
    fixed: Vec<(&'static str, String)>,
    pub(crate) probe: Option<Probe>,
}

/// Where the key goes.
enum Placement {
    Field { name: String, format: KeyFormat },
    Query { parameter: String },
    Basic { user: String },
}

impl Route {
    /// # Errors
    /// Settings that contradict one another or the preset, naming the key.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let preset = settings.preset;
        let probe = match &settings.probe {
            Some(setting) => setting.0.clone(),
            None => preset.probe(),
        };
        Ok(Self {
            upstream: upstream(settings)?,
            preset,
            placement: placement(settings)?,
            fixed: fixed(settings)?,
            probe,
        })
    }

    /// The base URL without a final slash.
    pub(crate) fn base(&self) -> &str {
        self.upstream.as_str().trim_end_matches('/')
    }

    /// The upstream's host, as accounts and messages name it.
    pub(crate) fn host(&self) -> &str {
        self.upstream.host_str().unwrap_or_default()
    }

    /// The key where this service wants it.
    pub(crate) fn credential(&self, key: &Secret, generation: u64) -> Credential {
        let key = key.expose();
        let mut fields: Vec<(String, Vec<u8>)> =
            self.fixed.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())).collect();
        let mut query = Vec::new();
        match &self.placement {
            Placement::Field { name, format } => fields.push((name.clone(), format.render(key).into_bytes())),
            Placement::Query { parameter } => query.push((parameter.clone(), key.to_owned())),
            Placement::Basic { user } => {
                let pair = STANDARD.encode(format!("{user}:{key}"));
                fields.push(("authorization".into(), format!("Basic {pair}").into_bytes()));
            }
        }
        Credential { fields, query, expires_at: None, generation, reuse: true }
    }

    /// Fields in which clients of this service carry keys of their own, besides `Authorization`.
    pub(crate) fn credential_fields(&self) -> Vec<String> {
        let mut names = vec!["x-api-key".to_owned(), "api-key".to_owned()];
        if let Placement::Field { name, .. } = &self.placement
            && name != "authorization"
            && !names.contains(name)
        {
            names.push(name.clone());
        }
        names
    }

    /// The probe with this key on it.
    pub(crate) fn probe_request(&self, probe: &Probe, key: &Secret) -> Result<Request, Error> {
        let credential = self.credential(key, 0);
        let mut url = Url::parse(&format!("{}{}", self.base(), probe.path))
            .map_err(|error| Error::invalid_config(format!("`probe` = `{}`: {error}", probe.path)))?;
        if !credential.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&credential.query);
        }
        let mut headers = credential.fields;
        let (name, version) = ANTHROPIC_VERSION;
        if self.preset == Preset::Anthropic && !headers.iter().any(|(field, _)| field == name) {
            headers.push((name.into(), version.into()));
        }
        Ok(Request { method: probe.method.clone(), url: url.into(), headers, ..Request::default() })
    }
}

impl Preset {
    /// The variables with which the service's own tools find a server and a key.
    pub(crate) fn env(self) -> Vec<(String, String)> {
        let pairs: &[(&str, &str)] = match self {
            Self::OpenAi => &[("OPENAI_BASE_URL", "{base}/v1"), ("OPENAI_API_KEY", "{key}")],
            Self::Anthropic => &[("ANTHROPIC_BASE_URL", "{base}"), ("ANTHROPIC_API_KEY", "{key}")],
            Self::HuggingFace => &[("HF_ENDPOINT", "{base}"), ("HF_TOKEN", "{key}")],
            Self::Generic => &[],
        };
        pairs.iter().map(|(name, template)| ((*name).into(), (*template).into())).collect()
    }

    /// What a key is called when it is asked for, and where it comes from.
    pub(crate) fn prompt(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI API key (https://platform.openai.com/api-keys)",
            Self::Anthropic => "Anthropic API key (https://platform.claude.com/settings/keys)",
            Self::HuggingFace => "Hugging Face token (https://huggingface.co/settings/tokens)",
            Self::Generic => "API key",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::HuggingFace => "huggingface",
            Self::Generic => "generic",
        }
    }

    fn probe(self) -> Option<Probe> {
        match self {
            Self::OpenAi | Self::Anthropic => Some(Probe::get("/v1/models")),
            Self::HuggingFace => Some(Probe::get("/api/whoami-v2")),
            Self::Generic => None,
        }
    }
}

fn upstream(settings: &Settings) -> Result<Url, Error> {
    let url = match (&settings.upstream, settings.preset, &settings.region) {
        (Some(upstream), ..) => upstream.clone(),
        (None, Preset::OpenAi, None) => "https://api.openai.com".into(),
        // A project with data residency answers only at its region's host.
        (None, Preset::OpenAi, Some(region)) => format!("https://{}.api.openai.com", region.as_str()),
        (None, Preset::Anthropic, None) => "https://api.anthropic.com".into(),
        (None, Preset::Anthropic, Some(region)) => claude_on_aws(region, settings.workspace_id.as_ref())?,
        (None, Preset::HuggingFace, None) => "https://huggingface.co".into(),
        (None, Preset::Generic, None) => {
            return Err(Error::invalid_config("setting `upstream` is missing")
                .with_hint("the base URL of the service: `--upstream https://api.example.com`"));
        }
        (None, preset @ (Preset::HuggingFace | Preset::Generic), Some(_)) => {
            return Err(misplaced("region", preset));
        }
    };
    let parsed = Url::parse(&url)
        .map_err(|error| Error::invalid_config(format!("setting `upstream` = `{url}`: {error}")))?;
    if parsed.host_str().is_none() || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(Error::invalid_config(format!("setting `upstream` = `{url}` is not a base URL")));
    }
    Ok(parsed)
}

/// Claude Platform on AWS: Anthropic's API at an AWS host, where every request names a workspace.
fn claude_on_aws(region: &Region, workspace: Option<&FieldText>) -> Result<String, Error> {
    if workspace.is_none() {
        return Err(Error::invalid_config("setting `workspace_id` is missing: `region` needs it")
            .with_hint("Claude on AWS wants a workspace with every request: `--workspace-id wrkspc_...`"));
    }
    Ok(format!("https://aws-external-anthropic.{}.api.aws", region.as_str()))
}

fn placement(settings: &Settings) -> Result<Placement, Error> {
    let a_field = settings.header.is_some() || settings.format.is_some();
    match (&settings.query, &settings.basic_user) {
        (Some(_), Some(_)) => {
            Err(Error::invalid_config("settings `query` and `basic_user` exclude each other"))
        }
        (Some(_), None) if a_field => {
            Err(Error::invalid_config("setting `query` excludes `header` and `format`"))
        }
        (None, Some(_)) if a_field => {
            Err(Error::invalid_config("setting `basic_user` excludes `header` and `format`"))
        }
        (Some(parameter), None) if parameter.is_empty() => {
            Err(Error::invalid_config("setting `query` is empty"))
        }
        (Some(parameter), None) => Ok(Placement::Query { parameter: parameter.clone() }),
        // RFC 7617 section 2: a user-id with a colon cannot be told from its password.
        (None, Some(user)) if user.contains(|c: char| c == ':' || c.is_control()) => {
            Err(Error::invalid_config(format!(
                "setting `basic_user` = `{}` holds a colon or a control character",
                user.escape_debug()
            )))
        }
        (None, Some(user)) => Ok(Placement::Basic { user: user.clone() }),
        (None, None) => {
            let (name, format) = match settings.preset {
                Preset::Anthropic => ("x-api-key", KeyFormat::bare()),
                _ => ("authorization", KeyFormat::bearer()),
            };
            Ok(Placement::Field {
                name: settings.header.as_ref().map_or(name, |header| header.as_str()).to_owned(),
                format: settings.format.clone().unwrap_or(format),
            })
        }
    }
}

fn fixed(settings: &Settings) -> Result<Vec<(&'static str, String)>, Error> {
    use Preset::{Anthropic, OpenAi};
    let known = [
        ("organization", &settings.organization, OpenAi, "openai-organization"),
        ("project", &settings.project, OpenAi, "openai-project"),
        ("workspace_id", &settings.workspace_id, Anthropic, "anthropic-workspace-id"),
        ("version", &settings.version, Anthropic, ANTHROPIC_VERSION.0),
    ];
    let mut fields = Vec::new();
    for (setting, value, preset, field) in known {
        match value {
            Some(value) if settings.preset == preset => fields.push((field, value.as_str().to_owned())),
            Some(_) => return Err(misplaced(setting, settings.preset)),
            None => {}
        }
    }
    Ok(fields)
}

fn misplaced(setting: &str, preset: Preset) -> Error {
    Error::invalid_config(format!("setting `{setting}` means nothing to preset `{}`", preset.as_str()))
}
