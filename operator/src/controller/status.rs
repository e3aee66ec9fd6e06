//! Findings → the status, written only when it differs, and an Event for each
//! transition.

use caudal_model::resource::{DataPipeline, DataPipelineStatus, IngestStatus, Resolved};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource as _, ResourceExt};
use serde_json::{Map, Value, json};

use super::build::{Component, MANAGER, Owner, selector_text};
use super::conditions::{DELETION_BLOCKED, DELIVERY_DOWNGRADED, Findings, Transition, conditions};
use super::error::Error;
use crate::context::Context;

/// Everything the status is made of.
pub struct Report<'a> {
    pub findings: &'a Findings,
    pub resolved: Option<Resolved>,
    pub ingestor: Option<&'a Deployment>,
    /// The spec of this generation has been worked through.
    pub complete: bool,
}

/// Writes the status; the pipeline comes back as the API server has it then.
pub async fn write(
    context: &Context,
    owner: &Owner,
    pipeline: DataPipeline,
    report: Report<'_>,
) -> Result<DataPipeline, Error> {
    let before = pipeline.status.clone().unwrap_or_default();
    let (status, transitions) = status_of(owner, &pipeline, &before, report);
    let written = if status == before {
        pipeline
    } else {
        let pipelines: Api<DataPipeline> = Api::namespaced(context.client.clone(), &owner.namespace);
        let patch = merge_patch(&json!({"status": before}), &json!({"status": status}));
        // With the version that was read: a write in between is a conflict and not lost.
        let version = &pipeline.metadata.resource_version;
        let patch = merged(patch, json!({"metadata": {"resourceVersion": version}}));
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        pipelines
            .patch_status(&owner.name, &parameters, &Patch::Merge(patch))
            .await
            .map_err(Error::kubernetes("write the status"))?
    };
    let conditions = written.status.as_ref().map_or(&[][..], |status| &status.conditions);
    context.metrics.conditions(&owner.namespace, &owner.name, conditions);
    for transition in transitions {
        publish(context, &written, transition).await;
    }
    Ok(written)
}

/// What turns `before` into `after` by JSON merge patch (RFC 7396): only what
/// differs, and null for what goes.
fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return after.clone() };
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let kept = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), merge_patch(before.get(key).unwrap_or(&Value::Null), value)));
    Value::Object(gone.chain(kept).collect::<Map<_, _>>())
}

/// Two objects without a common key as one.
fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn status_of(
    owner: &Owner,
    pipeline: &DataPipeline,
    before: &DataPipelineStatus,
    report: Report<'_>,
) -> (DataPipelineStatus, Vec<Transition>) {
    let Report { findings, resolved, ingestor, complete } = report;
    let generation = pipeline.metadata.generation.unwrap_or_default();
    let (conditions, transitions) = conditions(&before.conditions, findings, generation, Timestamp::now());
    let replicas = ingestor.and_then(|deployment| deployment.status.as_ref()?.replicas).unwrap_or_default();
    let status = DataPipelineStatus {
        observed_generation: if complete { Some(generation) } else { before.observed_generation },
        conditions,
        delivery: findings.delivery.as_ref().map(|found| found.delivery).or(before.delivery),
        resolved: resolved.or_else(|| before.resolved.clone()),
        ingest: Some(IngestStatus {
            replicas,
            selector: selector_text(&owner.selector_labels(Component::Ingestor)),
        }),
        url: pipeline.spec.api.as_ref().map(|_| url(owner)),
    };
    (status, transitions)
}

/// The API's address inside the cluster.
fn url(owner: &Owner) -> String {
    format!("http://{}.{}.svc", owner.object_name(Component::Api), owner.namespace)
}

/// An Event that is lost is no reason to stop: the condition says the same.
async fn publish(context: &Context, pipeline: &DataPipeline, transition: Transition) {
    let Transition { condition, status, reason, message } = transition;
    tracing::info!(
        namespace = pipeline.namespace().unwrap_or_default(),
        pipeline = pipeline.name_any(),
        condition,
        status,
        reason,
        message,
        "condition changed"
    );
    let bad = match condition.as_str() {
        DELETION_BLOCKED | DELIVERY_DOWNGRADED => status == "True",
        _ => status == "False",
    };
    let note = format!("{condition} is {status}: {message}");
    event(context, pipeline, &condition, bad, reason, note).await;
}

/// Publishes an Event about a pipeline. Events of one action and reason within
/// minutes become one with a count, so `action` tells conditions apart.
pub async fn event(
    context: &Context,
    pipeline: &DataPipeline,
    action: &str,
    warning: bool,
    reason: String,
    note: String,
) {
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason,
        // The API server takes up to 1 KiB.
        note: Some(note.chars().take(500).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &pipeline.object_ref(&())).await {
        tracing::warn!(%error, "publish an Event");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_says_only_what_changed_and_removes_what_is_gone() {
        let before = json!({"url": "u", "resolved": {"topic": "t", "topicId": "1"}, "conditions": [1]});
        let after = json!({"resolved": {"topic": "t", "topicId": "2"}, "conditions": [1, 2]});
        assert_eq!(
            merge_patch(&before, &after),
            json!({"url": null, "resolved": {"topicId": "2"}, "conditions": [1, 2]})
        );
        assert_eq!(merge_patch(&json!({}), &after), after);
        assert_eq!(merge_patch(&after, &after), json!({}));
    }
}
