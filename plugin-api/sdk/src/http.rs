//! Requests a plugin makes through the host.

use std::time::Duration;

use ccproxy_plugin_abi::abi_stable::std_types::RVec;
use ccproxy_plugin_abi::{Field, HttpRequest, HttpResponse};

/// A request. Bodies and fields may hold secrets, so there is no `Debug`.
#[derive(Clone, Default)]
pub struct Request {
    /// Method; empty means GET.
    pub method: String,
    /// Absolute URL. For a handled path: path and query.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Time for the whole exchange; the host's default is 20 s.
    pub timeout: Option<Duration>,
    /// What it is for, so that the host can name its event.
    pub purpose: Purpose,
}

/// What a request is for. Token requests become `oauth.*` events besides `http.*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Anything.
    #[default]
    General,
    /// A token request other than a refresh.
    Token,
    /// A refresh.
    Refresh,
}

impl Purpose {
    /// As the boundary writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::General => "",
            Self::Token => "oauth.token",
            Self::Refresh => "oauth.refresh",
        }
    }

    fn parse(text: &str) -> Self {
        [Self::Token, Self::Refresh].into_iter().find(|purpose| purpose.as_str() == text).unwrap_or_default()
    }
}

impl Request {
    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: "GET".into(), url: url.into(), ..Self::default() }
    }

    /// A POST.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST".into(), url: url.into(), body: body.into(), ..Self::default() }
    }

    /// The same with a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn into_abi(self) -> HttpRequest {
        HttpRequest {
            method: if self.method.is_empty() { "GET".into() } else { self.method.into() },
            url: self.url.into(),
            headers: fields_to_abi(self.headers),
            body: self.body.into(),
            timeout_ms: self.timeout.map_or(0, crate::time::millis),
            purpose: self.purpose.as_str().into(),
            ext: RVec::new(),
        }
    }

    pub(crate) fn from_abi(request: HttpRequest) -> Self {
        Self {
            method: request.method.into(),
            url: request.url.into(),
            headers: fields_from_abi(request.headers),
            body: request.body.into(),
            timeout: (request.timeout_ms > 0).then(|| Duration::from_millis(request.timeout_ms)),
            purpose: Purpose::parse(&request.purpose),
        }
    }
}

/// An answer, whole.
#[derive(Clone, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields, in the order received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body, at most 1 MiB.
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    pub(crate) fn into_abi(self) -> HttpResponse {
        HttpResponse {
            status: self.status,
            headers: fields_to_abi(self.headers),
            body: self.body.into(),
            ext: RVec::new(),
        }
    }

    pub(crate) fn from_abi(response: HttpResponse) -> Self {
        Self {
            status: response.status,
            headers: fields_from_abi(response.headers),
            body: response.body.into(),
        }
    }
}

pub(crate) fn fields_to_abi(fields: Vec<(String, Vec<u8>)>) -> RVec<Field> {
    fields.into_iter().map(|(name, value)| Field { name: name.into(), value: value.into() }).collect()
}

pub(crate) fn fields_from_abi(fields: RVec<Field>) -> Vec<(String, Vec<u8>)> {
    fields.into_iter().map(|field| (field.name.into(), field.value.into())).collect()
}
