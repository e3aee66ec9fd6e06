//! One admin client per connection. Every request has a deadline, and ends at
//! once when the brokers refuse the credentials.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use caudal_model::plan::KafkaConnection;
use caudal_service::Credentials;
use caudal_service::credentials::Login;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;

use super::{KafkaError, native};
use crate::external::gate::Gate;

/// How long one request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(8);
/// `RD_KAFKA_EVENT_ERROR`: deliver errors as events instead of log lines.
const ERROR_EVENTS: &str = "8";

/// What it takes to administer a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaAccess {
    pub connection: KafkaConnection,
    pub admin: Option<Login>,
    /// PEM text with the authorities to trust instead of the system's.
    pub ca: Option<String>,
}

impl fmt::Debug for KafkaAccess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KafkaAccess").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// An admin client.
pub struct Admin {
    pub(super) client: AdminClient<DefaultClientContext>,
    pub(super) servers: String,
    cluster_id: OnceLock<String>,
    failures: Mutex<Failures>,
    gate: Gate<KafkaError>,
}

/// The last errors the client reported.
#[derive(Default)]
struct Failures {
    authentication: Option<(Instant, String)>,
    other: Option<(Instant, String)>,
}

impl Admin {
    pub fn connect(access: &KafkaAccess) -> Result<Self, KafkaError> {
        let servers = access.connection.bootstrap_servers.clone();
        let credentials = Credentials { kafka: access.admin.clone(), ..Credentials::default() };
        let mut config = caudal_service::kafka::client_config(&access.connection, &credentials);
        config.set("enabled_events", ERROR_EVENTS).set("socket.timeout.ms", "8000").set("log_level", "0");
        if let Some(ca) = &access.ca {
            config.set("ssl.ca.pem", ca);
        }
        let client = config
            .create()
            .map_err(|error| KafkaError::Settings { servers: servers.clone(), detail: error.to_string() })?;
        Ok(Self {
            client,
            servers,
            cluster_id: OnceLock::new(),
            failures: Mutex::default(),
            gate: Gate::default(),
        })
    }

    /// Kafka's id of the cluster.
    pub async fn cluster_id(self: &Arc<Self>) -> Result<String, KafkaError> {
        if let Some(known) = self.cluster_id.get() {
            return Ok(known.clone());
        }
        let act = "ask for the cluster id";
        let id = self
            .blocking(act, |admin| {
                admin.client.inner().fetch_cluster_id(TIMEOUT).ok_or(RDKafkaErrorCode::OperationTimedOut)
            })
            .await?;
        Ok(self.cluster_id.get_or_init(|| id).clone())
    }

    pub(super) fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
    }

    /// Runs a blocking request off the async threads.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        act: &str,
        request: impl FnOnce(&Self) -> Result<T, RDKafkaErrorCode> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let admin = Arc::clone(self);
        let task = async move { finished(tokio::task::spawn_blocking(move || request(&admin)).await) };
        self.call(act, task).await
    }

    /// Awaits a request, unless the cluster is known to be down. The client sends
    /// a request when it is made, not when it is awaited, so make it inside.
    pub(super) async fn call<T>(
        &self,
        act: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, KafkaError> {
        self.gate.pass()?;
        self.watched(act, request).await
    }

    /// Whether the cluster answers, by the cheapest question there is; that it
    /// does not tell us is an answer. While there is none, all requests fail at
    /// once.
    pub async fn check(self: &Arc<Self>) -> bool {
        let admin = Arc::clone(self);
        let ask = move || native::describe_topic(admin.client.inner(), "__consumer_offsets", TIMEOUT);
        let request = async move { finished(tokio::task::spawn_blocking(ask).await) };
        let outage =
            self.watched("ask whether it answers", request).await.err().filter(KafkaError::is_outage);
        let answers = outage.is_none();
        self.gate.set(outage);
        answers
    }

    /// Awaits a request within the deadline, watching for refused credentials.
    async fn watched<T>(
        &self,
        act: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, KafkaError> {
        let started = Instant::now();
        let mut request = std::pin::pin!(request);
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut request => {
                    self.note_failures();
                    return done.map_err(|error| self.classify(act, &error));
                }
                _ = ticks.tick() => {
                    self.note_failures();
                    if let Some(detail) = self.authentication_failure_since(started) {
                        return Err(self.authentication(act, detail));
                    }
                    if started.elapsed() > TIMEOUT + Duration::from_secs(2) {
                        return Err(self.unreachable(act));
                    }
                }
            }
        }
    }

    fn note_failures(&self) {
        let now = Instant::now();
        native::take_errors(self.client.inner(), |code, text| {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            if code == RDKafkaErrorCode::Authentication {
                failures.authentication = Some((now, text));
            } else if code != RDKafkaErrorCode::AllBrokersDown {
                failures.other = Some((now, text));
            }
        });
    }

    fn authentication_failure_since(&self, moment: Instant) -> Option<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.authentication.as_ref().filter(|(when, _)| *when >= moment).map(|(_, text)| text.clone())
    }

    /// What an error of the client means; timeouts are explained by what the
    /// client reported meanwhile.
    pub(super) fn classify(&self, act: &str, error: &ClientError) -> KafkaError {
        let code = match error {
            // `rdkafka_error_code` leaves this one out.
            ClientError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        let Some(code) = code else {
            return KafkaError::Refused { act: act.to_owned(), detail: error.to_string() };
        };
        match code {
            RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerNotAvailable
            | RDKafkaErrorCode::NotController
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::Resolve => self.unreachable(act),
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
                self.authentication(act, code.to_string())
            }
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed => KafkaError::Unauthorized {
                act: act.to_owned(),
                servers: self.servers.clone(),
                detail: code.to_string(),
            },
            other => KafkaError::Refused { act: act.to_owned(), detail: other.to_string() },
        }
    }

    /// Refused credentials may have been reported before this request began:
    /// the client waits between its attempts to connect.
    fn unreachable(&self, act: &str) -> KafkaError {
        let recent = |moment: &Instant| moment.elapsed() < 3 * TIMEOUT;
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let authentication = failures.authentication.as_ref().filter(|(when, _)| recent(when));
        let other = failures.other.as_ref().filter(|(when, _)| recent(when));
        match (authentication, other) {
            (Some((refused, detail)), other) if other.is_none_or(|(when, _)| when < refused) => {
                self.authentication(act, detail.clone())
            }
            (_, other) => KafkaError::Unreachable {
                act: act.to_owned(),
                servers: self.servers.clone(),
                detail: other
                    .map_or_else(|| format!("within {} s", TIMEOUT.as_secs()), |(_, text)| text.clone()),
            },
        }
    }

    fn authentication(&self, act: &str, detail: String) -> KafkaError {
        KafkaError::Authentication { act: act.to_owned(), servers: self.servers.clone(), detail }
    }
}

/// The outcome of a blocking request.
fn finished<T>(done: Result<Result<T, RDKafkaErrorCode>, JoinError>) -> Result<T, ClientError> {
    done.unwrap_or(Err(RDKafkaErrorCode::Fail)).map_err(ClientError::AdminOp)
}

#[cfg(test)]
mod tests {
    use caudal_model::plan::SecurityProtocol;

    use super::*;

    #[test]
    fn a_right_that_is_missing_is_no_outage() {
        let connection = KafkaConnection {
            bootstrap_servers: "127.0.0.1:1".into(),
            security_protocol: SecurityProtocol::Plaintext,
            sasl_mechanism: None,
        };
        let admin = Admin::connect(&KafkaAccess { connection, admin: None, ca: None }).unwrap();
        let of = |code| admin.classify("describe topic", &ClientError::AdminOp(code));
        for code in [
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::GroupAuthorizationFailed,
            RDKafkaErrorCode::ClusterAuthorizationFailed,
        ] {
            assert!(matches!(of(code), KafkaError::Unauthorized { .. }), "{code}");
            assert!(!of(code).is_outage(), "{code}");
        }
        assert!(of(RDKafkaErrorCode::SaslAuthenticationFailed).is_outage());
        assert!(of(RDKafkaErrorCode::BrokerTransportFailure).is_outage());
    }
}
