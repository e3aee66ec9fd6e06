//! Certificate authorities → how a client encrypts.

use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Trusts the authorities in `authorities` (PEM text of a `ca.crt`), or the
/// well-known ones when there is none.
pub fn client_config(authorities: Option<&str>) -> anyhow::Result<ClientConfig> {
    let roots = match authorities {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(pem) => roots(pem).context("read ca.crt")?,
    };
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
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
        assert!(client_config(None).is_ok());
        let error = client_config(Some("hello")).err().unwrap();
        assert_eq!(format!("{error:#}"), "read ca.crt: it holds no certificate in PEM form");
    }
}
