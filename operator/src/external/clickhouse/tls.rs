//! PEM text → an HTTP client that trusts just the authorities in it.

use clickhouse::Client;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

pub(super) fn client(authorities: &str) -> Result<Client, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("ca.crt: {error}"))?;
        roots.add(certificate).map_err(|error| format!("ca.crt: {error}"))?;
    }
    if roots.is_empty() {
        return Err("ca.crt holds no certificate in PEM form".to_owned());
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
    Ok(Client::with_http_client(HttpClient::builder(TokioExecutor::new()).build(connector)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn refuses_what_is_no_certificate() {
        assert!(super::client("hello").is_err());
    }
}
