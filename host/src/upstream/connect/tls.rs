//! TLS to the upstream: rustls, the system's roots and one extra file of roots.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Host;

use super::{ConnectError, Connection, Offer, Protocol, Stream};
use crate::upstream::Origin;

/// Why certificates cannot be verified.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CaError {
    /// The file cannot be read.
    #[error("cannot read the CA file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The file holds no usable certificate.
    #[error("the CA file {} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The system has no roots.
    #[error("the system has no root certificates: {0}")]
    NoSystemRoots(String),
}

/// The TLS side of a connector. Configurations are made at the first handshake: reading the system's
/// roots takes longer than starting the host, and a host with loopback upstreams never needs them.
pub(super) struct Client {
    extra: Vec<CertificateDer<'static>>,
    http1: OnceLock<Arc<ClientConfig>>,
    http2: OnceLock<Arc<ClientConfig>>,
}

impl Client {
    pub(super) fn new(extra_ca: Option<&Path>) -> Result<Self, CaError> {
        let extra = extra_ca.map(read_pem).transpose()?.unwrap_or_default();
        Ok(Self { extra, http1: OnceLock::new(), http2: OnceLock::new() })
    }

    /// Whether the file still says what was read from it.
    pub(super) fn is_still(&self, extra_ca: Option<&Path>) -> bool {
        extra_ca.is_none_or(|path| read_pem(path).is_ok_and(|extra| extra == self.extra))
    }

    pub(super) async fn handshake(
        &self,
        tcp: TcpStream,
        origin: &Origin,
        offer: Offer,
    ) -> Result<Connection, ConnectError> {
        let failed = |source| ConnectError::Tls { to: origin.to_string(), source };
        let config = self
            .config(offer)
            .await
            .map_err(|source| ConnectError::Roots { to: origin.to_string(), source })?;
        let name = server_name(origin.host()).map_err(failed)?;
        let tls = TlsConnector::from(config).connect(name, tcp).await.map_err(failed)?;
        let agreed_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let protocol = if agreed_h2 { Protocol::Http2 } else { Protocol::Http1 };
        Ok(Connection { io: Stream::Tls(Box::new(tls)), protocol })
    }

    async fn config(&self, offer: Offer) -> Result<Arc<ClientConfig>, CaError> {
        let slot = match offer {
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
        };
        if let Some(config) = slot.get() {
            return Ok(config.clone());
        }
        let roots = roots(&self.extra).await?;
        Ok(slot.get_or_init(|| Arc::new(configure(roots, offer))).clone())
    }
}

fn configure(roots: RootCertStore, offer: Offer) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match offer {
        Offer::Http1 => vec![b"http/1.1".to_vec()],
        Offer::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    config
}

/// The system's roots, read once for the process, and the extra ones.
async fn roots(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, CaError> {
    static SYSTEM: OnceLock<Result<RootCertStore, String>> = OnceLock::new();
    let system = tokio::task::spawn_blocking(|| SYSTEM.get_or_init(system_roots))
        .await
        .map_err(|error| CaError::NoSystemRoots(error.to_string()))?;
    let mut roots = match system {
        Ok(roots) => roots.clone(),
        Err(_) if !extra.is_empty() => RootCertStore::empty(),
        Err(reason) => return Err(CaError::NoSystemRoots(reason.clone())),
    };
    roots.add_parsable_certificates(extra.iter().cloned());
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(if reasons.is_empty() { "none found".into() } else { reasons.join(", ") });
    }
    Ok(roots)
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaError> {
    let unreadable =
        |source: io::Error| CaError::Unreadable { path: path.to_owned(), source: Arc::new(source) };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().unwrap_or_default();
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 { Err(CaError::Empty { path: path.to_owned() }) } else { Ok(certificates) }
}

fn server_name(host: &Host<String>) -> io::Result<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(io::Error::other),
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn an_extra_ca_that_is_not_there_or_is_none_fails_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Client::new(Some(&dir.path().join("missing.pem"))).err().unwrap();
        assert!(matches!(missing, CaError::Unreadable { .. }));

        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "not a certificate\n").unwrap();
        let refused = Client::new(Some(&empty)).err().unwrap();
        assert_eq!(refused.to_string(), format!("the CA file {} holds no certificate", empty.display()));
    }
}
