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
use super::observe::Ingestor;
use super::plans::mounted;
use crate::context::Context;

/// Deletes what is left of former revisions. For ingestors only once
/// [`knows_all_intents`]. Pods were listed before they were asked, so one that
/// ended since can't have left an intent of a plan that is not kept for it.
pub async fn collect(
    context: &Context,
    owner: &Owner,
    component: Component,
    deployment: &Deployment,
    ingestors: &[Ingestor],
) -> Result<(), Error> {
    let plans: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(context.client.clone(), &owner.namespace);
    let selector = ListParams::default().labels(&selector_text(&owner.selector_labels(component)));
    let listed = plans.list(&selector).await.map_err(Error::kubernetes("list the plans"))?;
    let names: Vec<_> = listed.iter().map(ResourceExt::name_any).collect();
    let mut needed: BTreeSet<String> =
        named_by_intents(ingestors).iter().map(|revision| plan_name(owner, revision)).collect();
    needed.extend(ingestors.iter().filter_map(|ingestor| ingestor.plan.clone()));
    let Some(current) = mounted(deployment) else { return Ok(()) };
    needed.insert(current.to_owned());
    if names.iter().all(|name| needed.contains(name)) {
        return Ok(());
    }
    let pods: Api<PartialObjectMeta<Pod>> = Api::namespaced(context.client.clone(), &owner.namespace);
    let pods = pods.list(&selector).await.map_err(Error::kubernetes("list the pods"))?;
    needed.extend(pods.iter().filter_map(|pod| pod.annotations().get(PLAN_ANNOTATION).cloned()));
    for name in names.iter().filter(|name| !needed.contains(*name)) {
        delete::<ConfigMap>(&context.client, owner, name).await?;
        tracing::info!(
            namespace = owner.namespace,
            pipeline = owner.name,
            plan = name,
            "deleted a former plan"
        );
    }
    Ok(())
}

/// The revisions that open intents are known to name; there may be more.
pub fn named_by_intents(ingestors: &[Ingestor]) -> BTreeSet<String> {
    let states = ingestors.iter().filter_map(|ingestor| ingestor.state.as_ref());
    let intents = states.flat_map(|state| &state.partitions).filter_map(|found| found.intent.as_ref());
    // They become names of objects.
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    intents.map(|intent| intent.plan_revision.clone()).filter(|revision| plain(revision)).collect()
}

/// Whether all open intents are known: a partition nobody has looked at yet may
/// have one of any revision.
pub fn knows_all_intents(ingestors: &[Ingestor], partitions: i32) -> bool {
    let mut known = BTreeSet::new();
    for ingestor in ingestors {
        let Some(state) = &ingestor.state else { return false };
        let looked_at = state.partitions.iter().filter(|found| found.phase != Phase::Starting);
        known.extend(looked_at.map(|found| found.partition));
    }
    (0..partitions).all(|partition| known.contains(&partition))
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
            delivery: caudal_model::resource::Delivery::ExactlyOnce,
            joined: true,
            trouble: None,
            partitions,
        });
        Ingestor { name: "pod".into(), plan: None, terminating: false, stuck: None, state }
    }

    #[test]
    fn a_revision_with_an_open_intent_is_needed() {
        let all = [
            ingestor(Some(vec![partition(0, Phase::Running, None)])),
            ingestor(Some(vec![partition(1, Phase::Replaying, Some("old"))])),
        ];
        assert!(knows_all_intents(&all, 2));
        assert_eq!(named_by_intents(&all), ["old".to_owned()].into());
    }

    #[test]
    fn a_partition_that_stopped_for_want_of_its_plan_names_it() {
        let stopped = [ingestor(Some(vec![partition(0, Phase::Stopped, Some("old"))])), ingestor(None)];
        assert_eq!(named_by_intents(&stopped), ["old".to_owned()].into());
        let odd = [ingestor(Some(vec![partition(0, Phase::Stopped, Some("../x"))]))];
        assert_eq!(named_by_intents(&odd), BTreeSet::new());
    }

    #[test]
    fn nothing_is_certain_before_every_partition_was_looked_at() {
        let starting =
            [ingestor(Some(vec![partition(0, Phase::Running, None), partition(1, Phase::Starting, None)]))];
        assert!(!knows_all_intents(&starting, 2));
        let silent = [ingestor(Some(vec![partition(0, Phase::Running, None)])), ingestor(None)];
        assert!(!knows_all_intents(&silent, 1));
        assert!(!knows_all_intents(&[], 1));
    }
}
