//! Signatures by others, which the host checks: a plugin holds no public-key cryptography of its own.

use ccproxy_plugin_abi::SignatureCheck;
use ccproxy_plugin_abi::abi_stable::std_types::RVec;

use crate::error::Error;
use crate::host::Host;

/// The key of one who signs, as RFC 7518 section 6 takes it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// An RSA key, both numbers in big-endian bytes.
    Rsa {
        /// `n`
        modulus: Vec<u8>,
        /// `e`
        exponent: Vec<u8>,
    },
    /// A point on a curve: 4, `x` and `y` for ES256 and ES384; `x` for EdDSA.
    Point(Vec<u8>),
}

impl Host {
    /// Whether `key` signed `message`. `algorithm` is `RS256`, `RS384`, `RS512`, `PS256`, `ES256`, `ES384` or `EdDSA`
    /// (Ed25519), and has to come from a list of yours: never from the message alone.
    ///
    /// # Errors
    /// `unsupported` for any other algorithm. A key that is none, or of another kind, has signed nothing.
    pub fn is_signed_by(
        &self,
        key: &PublicKey,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Error> {
        let (key, exponent) = match key {
            PublicKey::Rsa { modulus, exponent } => (modulus.as_slice(), exponent.as_slice()),
            PublicKey::Point(point) => (point.as_slice(), [].as_slice()),
        };
        let check = SignatureCheck {
            algorithm: algorithm.into(),
            key: key.into(),
            exponent: exponent.into(),
            message: message.into(),
            signature: signature.into(),
            ext: RVec::new(),
        };
        Ok(self.0.is_signed(check).into_result()?)
    }
}
