//! The redirect that ends an authorization request: is it ours, and what does it say?

use ccproxy_plugin_sdk::{Error, Secret};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use crate::answer::Members;
use crate::refusal::Refusal;

/// What a redirect must match.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Expected {
    pub state: String,
    pub issuer: Option<String>,
    pub issuer_required: bool,
}

/// What a redirect says, once it is known to be ours.
pub(crate) enum Redirect {
    Code(Secret),
    Refused(Refusal),
}

impl Expected {
    /// Reads the query of a redirect.
    ///
    /// `state` comes first: what a stranger sends is not looked into (RFC 6749 section 10.12). Then
    /// `iss`, by simple string comparison, before the error or the code count (RFC 9207 section 2.4).
    pub(crate) fn read(&self, query: &Secret) -> Result<Redirect, Error> {
        let members = parameters(query.expose())?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let state = text("state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.state.as_bytes())) {
            return Err(Error::invalid_response("the redirect's `state` is not that of this login")
                .with_hint("use the link of this login, once"));
        }
        self.check_issuer(text("iss"))?;
        if let Some(error) = text("error") {
            let error = error.to_owned();
            return Ok(Redirect::Refused(Refusal { status: 0, error, retry_after: None, members }));
        }
        match text("code") {
            Some(code) if !code.is_empty() => Ok(Redirect::Code(Secret::new(code))),
            _ => Err(Error::invalid_response("the redirect has neither `code` nor `error`")),
        }
    }

    /// RFC 9207: a mix-up shows in a wrong issuer.
    fn check_issuer(&self, given: Option<&str>) -> Result<(), Error> {
        match (given, &self.issuer) {
            (Some(given), Some(issuer)) if given != issuer => {
                Err(Error::invalid_response("the redirect's `iss` is not the issuer of this login"))
            }
            (None, Some(_)) if self.issuer_required => {
                Err(Error::invalid_response("the redirect has no `iss`, which its issuer announces"))
            }
            _ => Ok(()),
        }
    }
}

/// RFC 6749 section 3.1: no parameter twice.
fn parameters(query: &str) -> Result<Members, Error> {
    let mut members = Members::new();
    for (name, value) in form_urlencoded::parse(query.trim_start_matches('?').as_bytes()) {
        if members.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return Err(Error::invalid_response("the redirect has a parameter twice"));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_sdk::ErrorCode;
    use pretty_assertions::assert_eq;

    const ISSUER: &str = "https://id.example.com";

    fn read(issuer_required: bool, query: &str) -> Result<String, String> {
        let expected = Expected { state: "s-1".into(), issuer: Some(ISSUER.into()), issuer_required };
        match expected.read(&Secret::new(query)) {
            Ok(Redirect::Code(code)) => Ok(code.expose().to_owned()),
            Ok(Redirect::Refused(refusal)) => Err(format!("{:?}", refusal.to_error().code)),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::InvalidResponse);
                Err(error.message)
            }
        }
    }

    #[test]
    fn a_code_with_the_right_state() {
        assert_eq!(read(false, "code=c%2B1&state=s-1&session_state=x"), Ok("c+1".into()));
        assert_eq!(read(false, "?code=c&state=s-1"), Ok("c".into()));
    }

    #[test]
    fn another_state_or_none_is_not_ours_whatever_else_it_says() {
        for query in ["code=c", "code=c&state=", "code=c&state=s-2", "error=access_denied&state=s-12", ""] {
            assert_eq!(read(false, query), Err("the redirect's `state` is not that of this login".into()));
        }
    }

    #[test]
    fn an_error_is_a_refusal() {
        assert_eq!(read(false, "error=access_denied&state=s-1"), Err("AccessDenied".into()));
        assert_eq!(read(false, "error=consent_required&state=s-1&code=c"), Err("ConsentRequired".into()));
    }

    #[test]
    fn the_issuer_is_compared_when_given_and_wanted_when_announced() {
        let right = "code=c&state=s-1&iss=https%3A%2F%2Fid.example.com";
        let wrong = "code=c&state=s-1&iss=https%3A%2F%2Fid.example.com%2F";
        assert_eq!(read(true, right), Ok("c".into()));
        assert_eq!(read(false, right), Ok("c".into()));
        assert!(read(false, wrong).is_err_and(|why| why.contains("`iss` is not the issuer")));
        assert!(read(true, "code=c&state=s-1").is_err_and(|why| why.contains("has no `iss`")));
        assert!(read(true, "error=access_denied&state=s-1").is_err_and(|why| why.contains("has no `iss`")));
    }

    #[test]
    fn a_parameter_twice_or_no_code_is_no_redirect() {
        assert!(read(false, "code=c&code=d&state=s-1").is_err());
        assert!(read(false, "code=c&state=s-1&state=s-1").is_err());
        assert!(read(false, "code=&state=s-1").is_err());
    }
}
