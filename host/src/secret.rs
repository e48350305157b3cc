//! Bytes that must not be shown: no Debug, no Display, no Serialize, wiped when dropped.

use zeroize::Zeroizing;

/// A secret value. `expose` marks every place that reads it.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller's buffer becomes the secret's.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Never into a log, an error, a URL or argv.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The first 8 hex digits of SHA-256: enough to tell two tokens apart, useless to anybody else.
    pub fn fingerprint(&self) -> String {
        use sha2::Digest;
        sha2::Sha256::digest(self.expose()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_start_of_sha256() {
        assert_eq!(Secret::new(b"abc".to_vec()).fingerprint(), "ba7816bf");
    }
}
