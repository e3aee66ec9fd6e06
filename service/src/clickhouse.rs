//! Address + login + certificate authorities → a ClickHouse client.

use std::time::Duration;

use clickhouse::{Client, Compression};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::credentials::Login;
use crate::tls;

/// A server that is there answers a connection at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Below the three seconds after which a server may close an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A client for `url`. `authorities` is PEM text with the certificate
/// authorities to trust instead of the well-known ones.
pub fn client(url: &str, login: Option<&Login>, authorities: Option<&str>) -> anyhow::Result<Client> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls::client_config(authorities)?);
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
