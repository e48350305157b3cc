//! The upstream base URL of a route.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::origin::{InvalidOrigin, Origin};

/// An origin and the path below which a route lives: `https://graph.microsoft.com/v1.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    origin: Origin,
    path: String,
}

impl Base {
    /// The base a URL names; a trailing slash makes no difference.
    pub fn of(url: &Url) -> Result<Self, InvalidOrigin> {
        let origin = Origin::of(url)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidOrigin::Trailing(url.to_string()));
        }
        Ok(Self { origin, path: url.path().trim_end_matches('/').to_owned() })
    }

    /// Where the credential may go.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path every request is put below: empty, or `/` and more, never ending in `/`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Base {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        Self::of(&Url::parse(text).map_err(|error| InvalidOrigin::NotAUrl(text.to_owned(), error))?)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_trailing_slash_makes_no_difference() {
        for (text, path) in [
            ("https://api.github.com", ""),
            ("https://api.github.com/", ""),
            ("https://graph.microsoft.com/v1.0", "/v1.0"),
            ("https://graph.microsoft.com/v1.0/", "/v1.0"),
        ] {
            assert_eq!(text.parse::<Base>().unwrap().path(), path);
        }
    }

    #[test]
    fn a_query_or_fragment_has_no_place_in_a_base() {
        assert!("https://example.com/?a=b".parse::<Base>().is_err());
        assert!("https://example.com/#a".parse::<Base>().is_err());
        assert!("example.com".parse::<Base>().is_err());
    }
}
