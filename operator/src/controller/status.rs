//! Findings → the status, written only when it differs, and an Event for each
//! transition.

use caudal_model::resource::{DataPipeline, DataPipelineStatus, IngestStatus, Resolved};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource as _, ResourceExt};

use super::build::{Component, Owner, selector_text};
use super::conditions::{DELETION_BLOCKED, Findings, Transition, conditions};
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
        let changed = DataPipeline { status: Some(status), ..pipeline };
        // A replace, so that a write in between is a conflict and not lost.
        pipelines
            .replace_status(&owner.name, &PostParams::default(), &changed)
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
    let bad = status == "False" || condition == DELETION_BLOCKED;
    event(context, pipeline, bad, reason, format!("{condition} is {status}: {message}")).await;
}

/// Publishes an Event about a pipeline.
pub async fn event(context: &Context, pipeline: &DataPipeline, warning: bool, reason: String, note: String) {
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason,
        // The API server takes up to 1 KiB.
        note: Some(note.chars().take(500).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &pipeline.object_ref(&())).await {
        tracing::warn!(%error, "publish an Event");
    }
}
