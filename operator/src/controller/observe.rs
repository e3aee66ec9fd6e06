//! Workloads and pods → what they say about consumers and API.

use std::net::IpAddr;

use caudal_model::state::{IngestorState, Phase, Trouble};
use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::build::{Component, Owner, PLAN_ANNOTATION, selector_text};
use super::conditions::Finding;
use super::error::Error;
use super::reason::{Problem, Reason};
use crate::context::Context;

/// How many pods are asked at once.
const PODS_AT_ONCE: usize = 8;

/// An ingestor pod and what it says of itself.
#[derive(Clone, Debug)]
pub struct Ingestor {
    pub name: String,
    /// Name of the ConfigMap with the plan it runs.
    pub plan: Option<String>,
    pub terminating: bool,
    /// Why its container does not run, like `ImagePullBackOff: …`.
    pub stuck: Option<String>,
    /// `None` while it does not answer.
    pub state: Option<IngestorState>,
}

/// Asks all ingestors of a pipeline.
pub async fn ingestors(context: &Context, owner: &Owner) -> Result<Vec<Ingestor>, Error> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &owner.namespace);
    let labels = selector_text(&owner.selector_labels(Component::Ingestor));
    let list = pods
        .list(&ListParams::default().labels(&labels))
        .await
        .map_err(Error::kubernetes("list the ingestors' pods"))?;
    let asked = stream::iter(list.items).map(async |pod| ask(context, &pod).await);
    Ok(asked.buffered(PODS_AT_ONCE).collect().await)
}

async fn ask(context: &Context, pod: &Pod) -> Ingestor {
    let name = pod.name_any();
    let status = pod.status.as_ref();
    let address = status
        .filter(|status| status.phase.as_deref() == Some("Running"))
        .and_then(|status| status.pod_ip.as_ref()?.parse::<IpAddr>().ok());
    let state = match address {
        None => None,
        Some(address) => {
            let answer = context.ingestors.state(address).await;
            answer.inspect_err(|error| tracing::debug!(pod = name, %error, "no state from an ingestor")).ok()
        }
    };
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    Ingestor {
        plan: pod.annotations().get(PLAN_ANNOTATION).cloned(),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        stuck: containers.into_iter().flatten().find_map(stuck),
        name,
        state,
    }
}

/// A container that waits for something that won't come by itself.
fn stuck(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| *reason != "ContainerCreating" && *reason != "PodInitializing")?;
    let message = waiting.message.as_deref().unwrap_or_default();
    Some(format!("{reason}: {message}").trim_end_matches([':', ' ']).to_owned())
}

/// Whether messages are consumed. A fault that an ingestor names comes before
/// the mere count of pods.
pub fn consumers(deployment: &Deployment, ingestors: &[Ingestor]) -> Finding {
    let running = ingestors.iter().filter(|ingestor| !ingestor.terminating);
    if let Some((pod, trouble)) =
        running.clone().find_map(|ingestor| Some((&ingestor.name, trouble(ingestor)?)))
    {
        let Trouble { reason, message, since } = trouble;
        return Problem::new((*reason).into(), format!("pod {pod}: {message} (since {since})")).into();
    }
    let wanted = wanted(deployment);
    if let Some(missing) = rollout(deployment) {
        let stuck = running
            .clone()
            .find_map(|ingestor| Some(format!("; pod {}: {}", ingestor.name, ingestor.stuck.as_ref()?)));
        return Problem::new(Reason::RolloutInProgress, missing + &stuck.unwrap_or_default()).into();
    }
    if wanted == 0 {
        return Finding::Good { reason: Reason::Paused, message: "no consumers are wanted".to_owned() };
    }
    Finding::good(format!("{wanted} of {wanted} ingestors are members of the group"))
}

/// The worst an ingestor reports: a partition that stopped before the process
/// as a whole, that before a partition that waits.
fn trouble(ingestor: &Ingestor) -> Option<&Trouble> {
    let state = ingestor.state.as_ref()?;
    let of_phase = |phase: Phase| {
        state
            .partitions
            .iter()
            .filter(move |partition| partition.phase == phase)
            .find_map(|p| p.trouble.as_ref())
    };
    of_phase(Phase::Stopped).or(state.trouble.as_ref()).or_else(|| of_phase(Phase::Waiting))
}

/// Whether the API answers.
pub fn api(deployment: &Deployment) -> Finding {
    match rollout(deployment) {
        Some(missing) => Problem::new(Reason::RolloutInProgress, missing).into(),
        None => Finding::good(format!("{} pods serve", wanted(deployment))),
    }
}

fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// What a rollout still lacks; `None` when it is complete.
fn rollout(deployment: &Deployment) -> Option<String> {
    let wanted = wanted(deployment);
    let status = deployment.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= deployment.metadata.generation;
    let updated = status.updated_replicas.unwrap_or_default();
    let available = status.available_replicas.unwrap_or_default();
    let all = status.replicas.unwrap_or_default();
    let name = deployment.name_any();
    if !seen || updated < wanted {
        Some(format!(
            "Deployment {name:?}: {updated} of {wanted} pods have the newest version; see its pods' events if this lasts"
        ))
    } else if available < wanted {
        Some(format!(
            "Deployment {name:?}: {available} of {wanted} pods are ready; see its pods' events and logs if this lasts"
        ))
    } else if all > wanted {
        Some(format!("Deployment {name:?}: {} old pods are still there", all - wanted))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use caudal_model::state::{PartitionState, Reason as Fault};
    use k8s_openapi::api::apps::v1::{DeploymentSpec, DeploymentStatus};

    use super::*;

    fn deployment(wanted: i32, available: i32) -> Deployment {
        let mut deployment = Deployment::default();
        deployment.metadata.name = Some("orders-ingestor".into());
        deployment.metadata.generation = Some(3);
        deployment.spec = Some(DeploymentSpec { replicas: Some(wanted), ..DeploymentSpec::default() });
        deployment.status = Some(DeploymentStatus {
            observed_generation: Some(3),
            replicas: Some(available),
            updated_replicas: Some(available),
            available_replicas: Some(available),
            ..DeploymentStatus::default()
        });
        deployment
    }

    fn trouble(reason: Fault) -> Trouble {
        Trouble { reason, message: "what happened".into(), since: "2026-01-01T00:00:00Z".into() }
    }

    fn ingestor(process: Option<Fault>, partitions: &[(Phase, Fault)]) -> Ingestor {
        let partition = |(phase, fault): &(Phase, Fault)| PartitionState {
            partition: 0,
            phase: *phase,
            trouble: Some(trouble(*fault)),
            committed_offset: 0,
            intent: None,
        };
        Ingestor {
            name: "pod-1".into(),
            plan: None,
            terminating: false,
            stuck: None,
            state: Some(IngestorState {
                plan_revision: "r".into(),
                delivery: caudal_model::resource::Delivery::ExactlyOnce,
                joined: true,
                trouble: process.map(trouble),
                partitions: partitions.iter().map(partition).collect(),
            }),
        }
    }

    fn reason(finding: &Finding) -> Option<Reason> {
        finding.problem().map(|problem| problem.reason)
    }

    #[test]
    fn a_complete_rollout_without_trouble_is_good() {
        assert_eq!(reason(&consumers(&deployment(2, 2), &[ingestor(None, &[])])), None);
        assert_eq!(reason(&consumers(&deployment(2, 1), &[])), Some(Reason::RolloutInProgress));
        let mut unseen = deployment(1, 1);
        unseen.metadata.generation = Some(4);
        assert_eq!(reason(&consumers(&unseen, &[])), Some(Reason::RolloutInProgress));
    }

    #[test]
    fn what_an_ingestor_reports_comes_first() {
        let down = [ingestor(Some(Fault::ClickHouseUnreachable), &[])];
        assert_eq!(reason(&consumers(&deployment(1, 0), &down)), Some(Reason::ClickHouseUnreachable));
        let both = [ingestor(
            Some(Fault::ClickHouseUnreachable),
            &[(Phase::Waiting, Fault::KafkaUnreachable), (Phase::Stopped, Fault::RetentionGap)],
        )];
        assert_eq!(reason(&consumers(&deployment(1, 1), &both)), Some(Reason::RetentionGap));
    }

    #[test]
    fn an_ingestor_that_goes_says_nothing() {
        let mut going = ingestor(Some(Fault::KafkaUnreachable), &[]);
        going.terminating = true;
        assert_eq!(reason(&consumers(&deployment(1, 1), &[going])), None);
    }

    #[test]
    fn a_pod_that_can_not_start_says_why() {
        let mut pod = ingestor(None, &[]);
        pod.state = None;
        pod.stuck = Some("ImagePullBackOff: no such image".into());
        let finding = consumers(&deployment(1, 0), &[pod]);
        assert!(finding.problem().unwrap().message.contains("ImagePullBackOff"), "{finding:?}");
    }

    #[test]
    fn none_wanted_is_good() {
        assert!(matches!(consumers(&deployment(0, 0), &[]), Finding::Good { reason: Reason::Paused, .. }));
    }
}
