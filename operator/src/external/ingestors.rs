//! Pod address → what its ingestor says of itself.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use caudal_model::state::IngestorState;

/// The admin port of ingestors and API servers.
pub const ADMIN_PORT: u16 = 9090;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Why a pod's state is unknown.
#[derive(Debug, thiserror::Error)]
#[error("read the state of the ingestor at {address}")]
pub struct StateError {
    address: SocketAddr,
    source: reqwest::Error,
}

/// Asks ingestors for their state.
#[derive(Clone)]
pub struct Ingestors {
    client: reqwest::Client,
}

impl Ingestors {
    /// Connections are not kept: pods come and go, and each is asked rarely.
    pub fn new() -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder().timeout(TIMEOUT).pool_max_idle_per_host(0).no_proxy();
        Ok(Self { client: builder.build()? })
    }

    pub async fn state(&self, pod: IpAddr) -> Result<IngestorState, StateError> {
        let address = SocketAddr::new(pod, ADMIN_PORT);
        let ask = async {
            let answer = self.client.get(format!("http://{address}/state")).send().await?;
            answer.error_for_status()?.json().await
        };
        ask.await.map_err(|source| StateError { address, source })
    }
}
