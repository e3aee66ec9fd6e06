//! Encryption on the way to ClickHouse.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use caudal_service::tls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub fn new(host: &str, authorities: Option<&Path>) -> anyhow::Result<Self> {
        let pem = match authorities {
            None => None,
            Some(file) => {
                Some(std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?)
            }
        };
        let config = tls::client_config(pem.as_deref())?;
        let name =
            ServerName::try_from(host.to_owned()).with_context(|| format!("read host name {host:?}"))?;
        Ok(Self { connector: Arc::new(config).into(), name })
    }

    pub async fn wrap(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}
