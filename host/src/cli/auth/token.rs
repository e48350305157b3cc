//! `ccproxy auth token`

use std::time::Duration;

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use super::login::split_scopes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::time::parse_duration;
use crate::credential::{Prepared, revealed, token};
use crate::model::{ConnectionId, Target};

/// Print a fresh token
///
/// The one command that prints a secret: what it prints opens the account to whoever reads it.
#[derive(Args, Debug)]
pub(in crate::cli) struct TokenArgs {
    /// The connection
    #[arg(value_name = "[ORG/]CONNECTION")]
    connection: ConnectionId,
    /// Scopes of the token, where they differ from the login's
    #[arg(long, value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Refresh unless the token lives this much longer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    min_ttl: Duration,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// The token alone
    Raw,
    /// The header fields as sent upstream
    Header,
    /// A document with token and expiry
    Json,
}

pub(super) async fn run(args: TokenArgs, context: Context) -> Result<Exit, CliError> {
    let id = args.connection;
    context.known(&id)?;
    let target = Target { scopes: split_scopes(&args.scopes), ..Target::default() };
    let prepared = context.app()?.credential(&id, target, args.min_ttl).await?;
    let format = if context.out.json { Format::Json } else { args.format };
    let printed = print(&id, &prepared, format)?;
    context.out.bytes(&printed)?;
    Ok(Exit::OK)
}

/// The token as asked for. Wiped when dropped, though what printed it may keep a copy.
fn print(id: &ConnectionId, prepared: &Prepared, format: Format) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let nothing = || CliError::failed(format!("`{id}` has no token to print"));
    let mut printed = Zeroizing::new(Vec::new());
    match format {
        Format::Raw => {
            printed.extend_from_slice(&token(prepared).ok_or_else(nothing)?);
            printed.push(b'\n');
        }
        Format::Header => {
            if prepared.fields.is_empty() {
                return Err(CliError::usage(format!(
                    "`{id}` sends its key as a query parameter, not as a header"
                ))
                .hint(format!("ccproxy auth token {id} --format raw")));
            }
            for (name, value) in &prepared.fields {
                printed.extend_from_slice(name.as_str().as_bytes());
                printed.extend_from_slice(b": ");
                printed.extend_from_slice(value.as_bytes());
                printed.push(b'\n');
            }
        }
        Format::Json => {
            printed.extend_from_slice(&revealed(id, prepared).ok_or_else(nothing)?);
            printed.push(b'\n');
        }
    }
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixMillis;
    use http::{HeaderName, HeaderValue};
    use pretty_assertions::assert_eq;

    fn prepared(fields: &[(&'static str, &'static str)], query: &[(&str, &str)]) -> Prepared {
        Prepared {
            fields: fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect(),
            query: query.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            expires_at: Some(UnixMillis(1_795_233_187_000)),
            generation: 1,
            acquired_at: UnixMillis(0),
        }
    }

    fn printed(prepared: &Prepared, format: Format) -> String {
        let printed = print(&"github".parse().unwrap(), prepared, format).unwrap();
        String::from_utf8(printed.to_vec()).unwrap()
    }

    #[test]
    fn raw_is_the_token_without_its_scheme() {
        assert_eq!(printed(&prepared(&[("authorization", "Bearer abc")], &[]), Format::Raw), "abc\n");
        assert_eq!(printed(&prepared(&[("x-api-key", "sk 1")], &[]), Format::Raw), "sk 1\n");
        assert_eq!(printed(&prepared(&[], &[("key", "k%2Fl")]), Format::Raw), "k/l\n");
        let both = [("anthropic-version", "1"), ("authorization", "Bearer abc")];
        assert_eq!(printed(&prepared(&both, &[]), Format::Raw), "abc\n");
    }

    #[test]
    fn header_is_what_goes_upstream() {
        let bearer = prepared(&[("authorization", "Bearer abc")], &[]);
        assert_eq!(printed(&bearer, Format::Header), "authorization: Bearer abc\n");
        let query = prepared(&[], &[("key", "k")]);
        let error = print(&"github".parse().unwrap(), &query, Format::Header).unwrap_err();
        assert_eq!(error.exit, Exit::USAGE);
    }
}
