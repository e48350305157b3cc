//! A certificate authority that nobody knows, made at start: what a company's own looks like to a client.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

/// The CA and the configuration of a server that it vouches for.
pub(crate) struct PrivateCa {
    file: NamedTempFile,
    server: Arc<ServerConfig>,
}

impl PrivateCa {
    pub(crate) fn create() -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "ccproxy sandbox CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let ca = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        let mut file = tempfile::Builder::new().prefix("sandbox-ca-").suffix(".pem").tempfile()?;
        file.write_all(ca.pem().as_bytes())?;
        Ok(Self { server: Arc::new(server_config(&ca).map_err(io::Error::other)?), file })
    }

    /// The CA's certificate, as PEM.
    pub(crate) fn file(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }
}

/// A server for the loopback names, with HTTP/2 and HTTP/1.1 on offer.
fn server_config(
    ca: &CertifiedIssuer<'_, KeyPair>,
) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(names)?.signed_by(&key, ca)?;
    let private_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private_key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
