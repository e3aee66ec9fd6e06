//! Plan ConfigMaps nobody needs any more → deleted. A plan that an open intent
//! names, or that a pod mounts, stays.

use std::collections::BTreeSet;

use caudal_model::state::Phase;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};

use super::apply::delete;
use super::build::{Component, Owner, PLAN_ANNOTATION, plan_name, selector_text};
use super::error::Error;
use super::fetch::mounted_plan;
use super::observe::Ingestor;
use crate::context::Context;

/// Deletes what is left of former revisions, once it is certain that nothing
/// refers to it.
pub async fn collect(
    context: &Context,
    owner: &Owner,
    component: Component,
    deployment: &Deployment,
    open_intents: &BTreeSet<String>,
) -> Result<(), Error> {
    let plans: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(context.client.clone(), &owner.namespace);
    let selector = ListParams::default().labels(&selector_text(&owner.selector_labels(component)));
    let listed = plans.list(&selector).await.map_err(Error::kubernetes("list the plans"))?;
    let names: Vec<_> = listed.iter().map(ResourceExt::name_any).collect();
    let mut needed: BTreeSet<String> =
        open_intents.iter().map(|revision| plan_name(owner, revision)).collect();
    let Some((_, current)) = mounted_plan(deployment) else { return Ok(()) };
    needed.insert(current.to_owned());
    if names.iter().all(|name| needed.contains(name)) {
        return Ok(());
    }
    let pods: Api<PartialObjectMeta<Pod>> = Api::namespaced(context.client.clone(), &owner.namespace);
    let pods = pods.list(&selector).await.map_err(Error::kubernetes("list the pods"))?;
    needed.extend(pods.iter().filter_map(|pod| pod.annotations().get(PLAN_ANNOTATION).cloned()));
    for name in names.iter().filter(|name| !needed.contains(*name)) {
        delete::<ConfigMap>(&context.client, &owner.namespace, name).await?;
        tracing::info!(
            namespace = owner.namespace,
            pipeline = owner.name,
            plan = name,
            "deleted a former plan"
        );
    }
    Ok(())
}

/// The revisions that open intents name; `None` while that can't be told: a
/// partition nobody has looked at yet may have an intent of any revision.
pub fn open_intents(ingestors: &[Ingestor], partitions: i32) -> Option<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    let mut intents = BTreeSet::new();
    for ingestor in ingestors {
        for partition in &ingestor.state.as_ref()?.partitions {
            if partition.phase != Phase::Starting {
                known.insert(partition.partition);
            }
            intents.extend(partition.intent.iter().map(|intent| intent.plan_revision.clone()));
        }
    }
    (0..partitions).all(|partition| known.contains(&partition)).then_some(intents)
}

#[cfg(test)]
mod tests {
    use caudal_model::state::{IngestorState, OpenIntent, PartitionState};

    use super::*;

    fn partition(partition: i32, phase: Phase, revision: Option<&str>) -> PartitionState {
        let intent =
            revision.map(|revision| OpenIntent { first: 0, next: 1, plan_revision: revision.to_owned() });
        PartitionState { partition, phase, trouble: None, committed_offset: 0, intent }
    }

    fn ingestor(partitions: Option<Vec<PartitionState>>) -> Ingestor {
        let state = partitions.map(|partitions| IngestorState {
            plan_revision: "new".into(),
            joined: true,
            trouble: None,
            partitions,
        });
        Ingestor { name: "pod".into(), terminating: false, stuck: None, state }
    }

    #[test]
    fn a_revision_with_an_open_intent_is_needed() {
        let all = [
            ingestor(Some(vec![partition(0, Phase::Running, None)])),
            ingestor(Some(vec![partition(1, Phase::Replaying, Some("old"))])),
        ];
        assert_eq!(open_intents(&all, 2), Some(["old".to_owned()].into()));
    }

    #[test]
    fn nothing_is_certain_before_every_partition_was_looked_at() {
        let starting =
            [ingestor(Some(vec![partition(0, Phase::Running, None), partition(1, Phase::Starting, None)]))];
        assert_eq!(open_intents(&starting, 2), None);
        let silent = [ingestor(Some(vec![partition(0, Phase::Running, None)])), ingestor(None)];
        assert_eq!(open_intents(&silent, 1), None);
        assert_eq!(open_intents(&[], 1), None);
    }
}
