//! Leader election by a Lease: one replica reconciles, the other stands by.
//!
//! The times are those of Kubernetes' own controllers. A leader that could not
//! renew within [`RENEW_DEADLINE`] stops before another may take over.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name of the Lease.
const NAME: &str = "caudal-operator";
const LEASE_SECONDS: i32 = 15;
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// One replica's part in the election.
pub struct Candidate {
    leases: Api<Lease>,
    namespace: String,
    identity: String,
    /// What the Lease held when it last changed, and when we saw that: another
    /// machine's clock is not trusted.
    seen: Option<(LeaseSpec, Instant)>,
}

/// What to do about a Lease.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Take,
    Renew,
    Wait,
}

impl Candidate {
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self { leases, namespace: namespace.to_owned(), identity: identity.to_owned(), seen: None }
    }

    /// Waits until this replica leads; `false` when `shutdown` came first.
    pub async fn elected(&mut self, shutdown: &CancellationToken) -> bool {
        loop {
            match timeout(RENEW_DEADLINE, self.attempt()).await {
                Ok(Ok(true)) => return true,
                Ok(Ok(false)) => (),
                Ok(Err(error)) => tracing::warn!(%error, "take the Lease"),
                Err(_) => tracing::warn!("take the Lease: no answer from the API server"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = sleep(RETRY) => (),
            }
        }
    }

    /// Renews until the Lease is lost.
    pub async fn lead(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(RETRY).await;
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            // Others count from when the Lease was written, which is after this.
            let asked = Instant::now();
            match timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => {
                    tracing::error!("another replica holds the Lease");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "renew the Lease"),
                Err(_) => (),
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                tracing::error!("the Lease could not be renewed in time");
                return;
            }
        }
    }

    /// Lets another replica take over at once.
    pub async fn resign(&mut self) {
        let resign = async {
            let Some(mut lease) = self.leases.get_opt(NAME).await? else { return Ok(()) };
            let Some(spec) =
                lease.spec.as_mut().filter(|spec| spec.holder_identity.as_ref() == Some(&self.identity))
            else {
                return Ok(());
            };
            spec.holder_identity = None;
            self.leases.replace(NAME, &PostParams::default(), &lease).await.map(drop)
        };
        let result: Result<Result<(), kube::Error>, _> = timeout(RETRY, resign).await;
        if let Ok(Err(error)) = result {
            tracing::warn!(%error, "give up the Lease");
        }
    }

    /// Takes or renews the Lease if it may be; whether this replica holds it now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let found = self.leases.get_opt(NAME).await?;
        let now = Timestamp::now();
        let result = match found {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(NAME.to_owned()),
                        namespace: Some(self.namespace.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.taken(0, now)),
                };
                self.leases.create(&PostParams::default(), &lease).await
            }
            Some(mut lease) => {
                let spec = lease.spec.take().unwrap_or_default();
                lease.spec = Some(match self.step(&spec) {
                    Step::Wait => return Ok(false),
                    Step::Take => self.taken(spec.lease_transitions.unwrap_or_default() + 1, now),
                    Step::Renew => LeaseSpec { renew_time: Some(MicroTime(now)), ..spec },
                });
                self.leases.replace(NAME, &PostParams::default(), &lease).await
            }
        };
        match result {
            Ok(_) => Ok(true),
            // Another replica was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn step(&mut self, spec: &LeaseSpec) -> Step {
        let changed = self.seen.as_ref().is_none_or(|(seen, _)| seen != spec);
        if changed {
            self.seen = Some((spec.clone(), Instant::now()));
        }
        let unchanged_for = self.seen.as_ref().map_or(Duration::ZERO, |(_, when)| when.elapsed());
        step(spec, &self.identity, unchanged_for)
    }

    fn taken(&self, transitions: i32, now: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn step(spec: &LeaseSpec, identity: &str, unchanged_for: Duration) -> Step {
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty());
    let duration = spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS);
    let duration = Duration::from_secs(duration.try_into().unwrap_or_default());
    match holder {
        None => Step::Take,
        Some(holder) if holder == identity => Step::Renew,
        Some(_) if unchanged_for > duration => Step::Take,
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_free_or_not_renewed_for_its_duration() {
        assert_eq!(step(&LeaseSpec::default(), "a", Duration::ZERO), Step::Take);
        assert_eq!(step(&held(""), "a", Duration::ZERO), Step::Take);
        assert_eq!(step(&held("a"), "a", Duration::ZERO), Step::Renew);
        assert_eq!(step(&held("b"), "a", Duration::from_secs(15)), Step::Wait);
        assert_eq!(step(&held("b"), "a", Duration::from_secs(16)), Step::Take);
    }
}
