//! The keys an issuer signs with: fetched once, and again when a token names one we do not know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_sdk::{Connection, Error, PublicKey, Request, UnixMillis};
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde_json::Value;

use crate::answer::Members;
use crate::endpoint::Endpoint;
use crate::refusal::Refusal;

/// How long keys are believed: a withdrawn one dies with this.
const TTL: Duration = Duration::from_secs(60 * 60);

/// A token with a made-up key id must not make us hammer the issuer.
const REFETCH_AFTER: Duration = Duration::from_secs(60);

/// More keys than any issuer has, fewer than would cost time.
const MAX_KEYS: usize = 100;

/// Keys by `jwks_uri`, in memory, per connection as in [`Discovery`](crate::Discovery).
#[derive(Default)]
pub struct KeyCache(Mutex<HashMap<Key, Entry>>);

type Key = (String, String, u64, String);

#[derive(Clone)]
struct Entry {
    at: UnixMillis,
    keys: Arc<KeySet>,
}

impl KeyCache {
    /// The keys at `jwks_uri`; with `anew`, those of now, if the last look was a minute ago.
    pub(crate) async fn keys<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        jwks_uri: &Endpoint,
        anew: bool,
    ) -> Result<Arc<KeySet>, Error> {
        let key = (
            connection.org.clone(),
            connection.name.clone(),
            connection.settings_generation,
            jwks_uri.as_str().to_owned(),
        );
        let now = connection.host.now();
        let life = if anew { REFETCH_AFTER } else { TTL };
        if let Some(entry) = self.entries().get(&key)
            && now < entry.at.plus(life)
        {
            return Ok(Arc::clone(&entry.keys));
        }
        let keys = Arc::new(fetch(connection, jwks_uri).await?);
        let mut entries = self.entries();
        entries.retain(|_, entry| now < entry.at.plus(TTL));
        entries.insert(key, Entry { at: now, keys: Arc::clone(&keys) });
        Ok(keys)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch<S: Send + Sync>(connection: &Connection<S>, jwks_uri: &Endpoint) -> Result<KeySet, Error> {
    let request = Request::get(jwks_uri.as_str()).header("accept", "application/json");
    let response = connection.http(request).await?;
    if response.status != 200 {
        return Err(Refusal::bare(&response, connection.host.now()).to_error());
    }
    let document: Members = serde_json::from_slice(&response.body)
        .map_err(|_| Error::invalid_response("`jwks_uri` answered no JSON object"))?;
    KeySet::read(&document)
}

/// The usable keys of an issuer.
pub(crate) struct KeySet(Vec<SigningKey>);

struct SigningKey {
    id: Option<String>,
    algorithm: Option<KeyAlgorithm>,
    curve: Option<EllipticCurve>,
    key: PublicKey,
}

impl KeySet {
    /// Reads a JWK set. Keys that cannot verify a signature are skipped: sets hold encryption keys,
    /// kinds we do not know, and (OpenID's conformance suite) decoys that do not parse.
    pub(crate) fn read(document: &Members) -> Result<Self, Error> {
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(Error::invalid_response("`jwks_uri` answered no `keys`"));
        };
        Ok(Self(keys.iter().take(MAX_KEYS).filter_map(SigningKey::read).collect()))
    }

    /// The keys that may have signed with `algorithm` under `id`. Without an id every usable key
    /// may have; a key without an id may be meant by any.
    pub(crate) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey> {
        let fits = |key: &&SigningKey| key.fits(algorithm);
        let named = |key: &&SigningKey| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        self.0.iter().filter(fits).filter(named).map(|key| &key.key).collect()
    }
}

impl SigningKey {
    fn read(value: &Value) -> Option<Self> {
        // Never `x5u` or `jku`: a key is what stands in the set.
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let common = &jwk.common;
        let signs = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let verifies =
            common.key_operations.as_ref().is_none_or(|allowed| allowed.contains(&KeyOperations::Verify));
        if !signs || !verifies {
            return None;
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let (curve, key) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                (None, PublicKey::Rsa { modulus: decode(&rsa.n)?, exponent: decode(&rsa.e)? })
            }
            AlgorithmParameters::EllipticCurve(point) => {
                // SEC 1 section 2.3.3: a point that is not compressed.
                let both = [vec![4], decode(&point.x)?, decode(&point.y)?].concat();
                (Some(point.curve.clone()), PublicKey::Point(both))
            }
            AlgorithmParameters::OctetKeyPair(point) => {
                (Some(point.curve.clone()), PublicKey::Point(decode(&point.x)?))
            }
            // A symmetric key in a public document is nobody's secret.
            _ => return None,
        };
        Some(Self { id: common.key_id.clone(), algorithm: common.key_algorithm, curve, key })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let curve = match algorithm {
            Algorithm::ES256 => Some(EllipticCurve::P256),
            Algorithm::ES384 => Some(EllipticCurve::P384),
            Algorithm::EdDSA => Some(EllipticCurve::Ed25519),
            _ => None,
        };
        // An RSA key has no curve, and all that is not of a curve here is of RSA.
        self.curve == curve && self.algorithm.is_none_or(|named| named == KeyAlgorithm::from(algorithm))
    }
}
