//! Address + login + certificate authorities → a ClickHouse client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clickhouse::{Client, Compression};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::credentials::Login;

/// A server that is there answers a connection at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Below the three seconds after which a server may close an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A client for `url`. `authorities` is PEM text with the certificate
/// authorities to trust instead of the well-known ones.
pub fn client(url: &str, login: Option<&Login>, authorities: Option<&str>) -> anyhow::Result<Client> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = HttpsConnectorBuilder::new();
    let builder = match authorities {
        None => builder.with_provider_and_webpki_roots(provider)?,
        Some(pem) => {
            let config = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots(pem).context("read ca.crt")?)
                .with_no_client_auth();
            builder.with_tls_config(config)
        }
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
    let http = HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_TIMEOUT).build(connector);
    let client = Client::with_http_client(http).with_url(url).with_compression(Compression::None);
    Ok(match login {
        Some(login) => client.with_user(&login.username).with_password(&login.password),
        None => client,
    })
}

fn roots(pem: &str) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    ensure!(!roots.is_empty(), "it holds no certificate in PEM form");
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusts_the_well_known_authorities_or_the_given_ones() {
        assert!(client("https://clickhouse:8443", None, None).is_ok());
        let error = client("https://clickhouse:8443", None, Some("hello")).err().unwrap();
        assert_eq!(format!("{error:#}"), "read ca.crt: it holds no certificate in PEM form");
    }
}
