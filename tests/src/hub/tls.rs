//! TLS for the server: an authority made for one test, whose certificate is for this machine.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Who vouches for the server, to whoever trusts it.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its own certificate, for a file that `SSL_CERT_FILE` names.
    pub pem: String,
    config: Arc<ServerConfig>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// # Panics
    /// When no certificate can be made.
    pub fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let own = key();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names).and_then(|params| params.signed_by(&own, &issuer));
        let certificate = certificate.expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(own.serialize_der()).into())
            .expect("a certificate and its key");
        Self { pem: issuer.pem(), config: Arc::new(config) }
    }

    /// Answers requests until the client goes.
    pub(super) fn each(
        &self,
        client: TcpStream,
        mut answer: impl FnMut(&mut StreamOwned<ServerConnection, TcpStream>) -> io::Result<bool>,
    ) {
        let Ok(connection) = ServerConnection::new(self.config.clone()) else { return };
        let mut stream = StreamOwned::new(connection, client);
        while answer(&mut stream).unwrap_or(false) {}
        stream.conn.send_close_notify();
        let _ = stream.flush();
        let _ = stream.read(&mut [0]);
    }
}
