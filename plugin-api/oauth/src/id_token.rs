//! ID tokens: OpenID Connect Core section 3.1.3.7, without what attackers are glad to find.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_sdk::{Connection, Error, Host, Secret, UnixMillis};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

use crate::grants::TokenSet;
use crate::keys::{KeyCache, KeySet};
use crate::record::OAuthRecord;
use crate::server::AuthorizationServer;

/// How far two clocks may be apart, in seconds.
const LEEWAY: f64 = 60.0;

/// What an issuer of many tenants writes for the tenant (Entra's metadata does): the token must name
/// it in `tid`, and be issued by it.
pub const TENANT: &str = "{tenantid}";

/// Claims of an ID token.
pub type Claims = Map<String, Value>;

/// What an ID token must match.
#[derive(Clone, Copy)]
pub struct IdTokenRules<'a> {
    /// The issuer, byte for byte; [`TENANT`] in it stands for the tenant that the token names.
    pub issuer: &'a str,
    /// The client it is for.
    pub client_id: &'a str,
    /// The nonce of the authorization request, if there was one.
    pub nonce: Option<&'a str>,
    /// The access token it came with.
    pub access_token: Option<&'a Secret>,
    /// The time.
    pub now: UnixMillis,
}

/// Validates an ID token: signature by the issuer's keys, then its claims.
///
/// # Errors
/// `invalid_response` saying which rule it breaks; nothing of the token is quoted.
pub async fn validate<S: Send + Sync>(
    connection: &Connection<S>,
    keys: &KeyCache,
    server: &AuthorizationServer,
    id_token: &Secret,
    rules: IdTokenRules<'_>,
) -> Result<Claims, Error> {
    let token = Jws::parse(id_token.expose())?;
    let jwks_uri = server
        .jwks_uri
        .as_ref()
        .ok_or_else(|| Error::invalid_response("there is an ID token, but no `jwks_uri` to check it with"))?;
    let known = keys.keys(connection, jwks_uri, false).await?;
    if !token.is_signed_by(&known, &connection.host)? {
        // Issuers rotate keys: one more look, at most once a minute.
        let fresh = keys.keys(connection, jwks_uri, true).await?;
        if !token.is_signed_by(&fresh, &connection.host)? {
            return Err(invalid("is not signed by a key of its issuer"));
        }
    }
    rules.check(&token)?;
    Ok(token.claims)
}

/// The ID token of a refresh comes over TLS from the token endpoint; it must be of the same person
/// and issuer (OpenID Connect Core section 12.2).
pub(crate) fn check_refreshed(tokens: &TokenSet, record: &OAuthRecord) -> Result<(), Error> {
    let (Some(id_token), Some(subject)) = (&tokens.id_token, &record.id_token_sub) else {
        return Ok(());
    };
    let token = Jws::parse(id_token.expose())?;
    if token.text("sub") != Some(subject) {
        return Err(invalid("of the refresh has another `sub`"));
    }
    match (record.id_token_iss.as_ref().or(record.issuer.as_ref()), token.text("iss")) {
        (Some(issuer), found) if found != Some(issuer) => Err(invalid("of the refresh has another `iss`")),
        _ => Ok(()),
    }
}

impl IdTokenRules<'_> {
    fn check(&self, token: &Jws<'_>) -> Result<(), Error> {
        self.check_issuer(token)?;
        if token.text("sub").is_none_or(str::is_empty) {
            return Err(invalid("has no `sub`"));
        }
        self.check_audience(token)?;
        self.check_times(token)?;
        self.check_nonce(token)?;
        self.check_access_token(token)
    }

    fn check_issuer(&self, token: &Jws<'_>) -> Result<(), Error> {
        let issuer = match self.issuer.contains(TENANT) {
            true => {
                let tenant = token.text("tid").filter(|tenant| is_tenant_id(tenant));
                Cow::Owned(
                    self.issuer.replace(TENANT, tenant.ok_or_else(|| invalid("names no tenant (`tid`)"))?),
                )
            }
            false => Cow::Borrowed(self.issuer),
        };
        if token.text("iss") == Some(&*issuer) { Ok(()) } else { Err(invalid("has another `iss`")) }
    }

    fn check_audience(&self, token: &Jws<'_>) -> Result<(), Error> {
        let azp = token.claims.get("azp");
        let several = match token.claims.get("aud") {
            Some(Value::String(one)) if one == self.client_id => false,
            Some(Value::Array(list)) if list.iter().any(|one| one == self.client_id) => list.len() > 1,
            _ => return Err(invalid("is for another client (`aud`)")),
        };
        match azp {
            Some(azp) if azp != self.client_id => Err(invalid("is for another client (`azp`)")),
            None if several => Err(invalid("is for several clients and names none (`azp`)")),
            _ => Ok(()),
        }
    }

    /// Typed as numbers: a text that a library cannot compare must not pass as "no limit"
    /// (jsonwebtoken's GHSA-h395-gr6q-cpjc).
    fn check_times(&self, token: &Jws<'_>) -> Result<(), Error> {
        let time = |name: &str| match token.claims.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(_) => Err(invalid(&format!("has a `{name}` that is not a number"))),
        };
        let now = self.now.0 as f64 / 1000.0;
        let expires = time("exp")?.ok_or_else(|| invalid("has no `exp`"))?;
        let issued = time("iat")?.ok_or_else(|| invalid("has no `iat`"))?;
        if now >= expires + LEEWAY {
            return Err(invalid("has expired"));
        }
        if issued > now + LEEWAY || time("nbf")?.is_some_and(|not_before| not_before > now + LEEWAY) {
            return Err(invalid("is not valid yet: check the clock"));
        }
        Ok(())
    }

    fn check_nonce(&self, token: &Jws<'_>) -> Result<(), Error> {
        let Some(expected) = self.nonce else { return Ok(()) };
        let found = token.text("nonce").unwrap_or_default();
        if bool::from(found.as_bytes().ct_eq(expected.as_bytes())) {
            Ok(())
        } else {
            Err(invalid("is not of this login (`nonce`)"))
        }
    }

    fn check_access_token(&self, token: &Jws<'_>) -> Result<(), Error> {
        let (Some(claim), Some(access_token)) = (token.claims.get("at_hash"), self.access_token) else {
            return Ok(());
        };
        let hash = half_hash(token.algorithm, access_token.expose().as_bytes());
        if claim.as_str() == Some(&hash) {
            Ok(())
        } else {
            Err(invalid("is of another access token (`at_hash`)"))
        }
    }
}

/// A tenant is a GUID: nothing that could become another part of a URL.
fn is_tenant_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// A signed token, taken apart; nothing of it is believed yet.
struct Jws<'a> {
    algorithm: Algorithm,
    /// The same, as it is written.
    alg: &'static str,
    key_id: Option<String>,
    signed: &'a str,
    signature: &'a str,
    claims: Claims,
}

impl<'a> Jws<'a> {
    fn parse(token: &'a str) -> Result<Self, Error> {
        let malformed = || invalid("is not a signed token");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let object = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            serde_json::from_slice::<Map<String, Value>>(&bytes).ok()
        };
        let header = object(header).ok_or_else(malformed)?;
        let claims = object(claims).ok_or_else(malformed)?;
        // RFC 7515 section 4.1.11: what we do not understand must not be ignored, and we understand
        // no extension (Authlib's CVE-2025-59420).
        if header.contains_key("crit") {
            return Err(invalid("has critical extensions (`crit`)"));
        }
        // An access token of RFC 9068 or a logout token is no ID token, whoever signed it.
        match header.get("typ").map(|kind| kind.as_str().map(str::to_ascii_lowercase)) {
            Some(Some(kind)) if kind == "jwt" || kind == "application/jwt" => {}
            None => {}
            Some(_) => return Err(invalid("is a token of another kind (`typ`)")),
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(malformed()),
        };
        let (alg, algorithm) = algorithm(header.get("alg"))?;
        Ok(Self { algorithm, alg, key_id, signed, signature, claims })
    }

    fn is_signed_by(&self, keys: &KeySet, host: &Host) -> Result<bool, Error> {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(self.signature) else { return Ok(false) };
        for key in keys.candidates(self.key_id.as_deref(), self.algorithm) {
            if host.is_signed_by(key, self.alg, self.signed.as_bytes(), &signature)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }
}

/// The list is ours, never the token's: no `none`, and no HMAC, whose key would be public.
const ALGORITHMS: [(&str, Algorithm); 7] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

fn algorithm(name: Option<&Value>) -> Result<(&'static str, Algorithm), Error> {
    let name = name.and_then(Value::as_str);
    let known = ALGORITHMS.into_iter().find(|(known, _)| Some(*known) == name);
    known.ok_or_else(|| invalid("is signed with an algorithm that is not allowed (`alg`)"))
}

/// Section 3.1.3.6: the left half of the hash that belongs to the algorithm.
fn half_hash(algorithm: Algorithm, bytes: &[u8]) -> String {
    let hash = match algorithm {
        Algorithm::RS384 | Algorithm::ES384 => Sha384::digest(bytes).to_vec(),
        Algorithm::RS512 | Algorithm::EdDSA => Sha512::digest(bytes).to_vec(),
        _ => Sha256::digest(bytes).to_vec(),
    };
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}

fn invalid(why: &str) -> Error {
    Error::invalid_response(format!("the ID token {why}"))
}

#[cfg(test)]
mod tests;
