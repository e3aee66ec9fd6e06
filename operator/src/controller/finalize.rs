//! The end of a pipeline whose things outside go with it: ingestors first, then
//! topics, group and tables, each only if Caudal made it. What can't be dropped
//! blocks the deletion, loudly.

use caudal_model::ddl::drop_table;
use caudal_model::resource::{DataPipeline, DeletionPolicy, Resolved};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::apply::delete;
use super::build::{Component, Owner};
use super::conditions::Findings;
use super::connections::{ClickHouse, Kafka};
use super::error::Error;
use super::fetch::{self, Fetched};
use super::observe;
use super::reason::{Problem, Reason};
use super::reconcile::{Outcome, is_annotated};
use super::sources::Sources;
use super::status::{self, Report};
use super::survey::{clickhouse_admin, kafka_admin};
use super::validate;
use crate::context::Context;

/// Holds a pipeline until what is outside is dropped.
const FINALIZER: &str = "caudal.dev/cleanup";
/// Set to `"true"`: let go of what is outside.
const ABANDON_ANNOTATION: &str = "caudal.dev/abandon-external";

/// Gives a pipeline the finalizer exactly while its policy is `Delete`.
pub async fn keep_finalizer(
    context: &Context,
    owner: &Owner,
    pipeline: DataPipeline,
) -> Result<DataPipeline, Error> {
    let wanted = pipeline.spec.deletion_policy == DeletionPolicy::Delete;
    if wanted == has_finalizer(&pipeline) {
        return Ok(pipeline);
    }
    set_finalizer(context, owner, &pipeline, wanted).await
}

fn has_finalizer(pipeline: &DataPipeline) -> bool {
    pipeline.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

async fn set_finalizer(
    context: &Context,
    owner: &Owner,
    pipeline: &DataPipeline,
    wanted: bool,
) -> Result<DataPipeline, Error> {
    let mut finalizers: Vec<_> =
        pipeline.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    if wanted {
        finalizers.push(FINALIZER.to_owned());
    }
    // With the version that was read: another's finalizer is never lost.
    let version = &pipeline.metadata.resource_version;
    let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
    let pipelines: Api<DataPipeline> = Api::namespaced(context.client.clone(), &owner.namespace);
    let patched = pipelines.patch(&owner.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map_err(Error::kubernetes("set the finalizer"))
}

/// Works on a pipeline that is being deleted.
pub async fn finalize(context: &Context, fetched: Fetched, findings: Findings) -> Result<Outcome, Error> {
    let Fetched { pipeline, owner, ingestor, .. } = fetched;
    if !has_finalizer(&pipeline) {
        return Ok(None);
    }
    let resolved = pipeline.status.as_ref().and_then(|status| status.resolved.clone());
    let keep = pipeline.spec.deletion_policy == DeletionPolicy::Retain;
    if let Some(resolved) = resolved.filter(|_| !keep) {
        if is_annotated(&pipeline, ABANDON_ANNOTATION) {
            let note = format!("left behind as asked: {}", things(&resolved));
            status::event(context, &pipeline, "Delete", true, "Abandoned".to_owned(), note).await;
        } else {
            match drop_all(context, &owner, &resolved).await? {
                Ok(dropped) => {
                    let note = format!("dropped: {}", dropped.join(", "));
                    status::event(context, &pipeline, "Delete", false, "Deleted".to_owned(), note).await;
                }
                Err(problem) => {
                    let findings = blocked(&problem, findings);
                    let ingestor = ingestor.as_ref();
                    let report = Report { findings: &findings, resolved: None, ingestor, complete: false };
                    status::write(context, &owner, pipeline, report).await?;
                    return Ok(Some(problem.reason));
                }
            }
        }
    }
    set_finalizer(context, &owner, &pipeline, false).await?;
    context.claims.forget(&owner.uid);
    Ok(None)
}

/// What a deletion that can't go on shows; waiting for pods is no fault.
fn blocked(problem: &Problem, findings: Findings) -> Findings {
    if problem.reason == Reason::Deleting {
        return Findings { spec: Some(problem.clone()), ..findings };
    }
    let advice = format!("{}; to leave it behind, annotate with {ABANDON_ANNOTATION}=true", problem.message);
    Findings {
        spec: Some(Problem::new(Reason::DeletionBlocked, advice)),
        deletion_blocked: Some(problem.clone()),
        ..findings
    }
}

/// What a deletion would drop.
fn things(resolved: &Resolved) -> String {
    let mut things = vec![format!("consumer group {:?}", resolved.group)];
    if resolved.topic_created {
        things.push(format!("topic {:?}", resolved.topic));
    }
    if resolved.dead_letter_topic_created {
        things.push(format!("topic {:?}", resolved.dead_letter_topic));
    }
    if resolved.table_created {
        let Resolved { database, table, .. } = resolved;
        things.push(format!("tables {database}.{table} and {database}.{table}__ledger"));
    }
    things.join(", ")
}

async fn drop_all(
    context: &Context,
    owner: &Owner,
    resolved: &Resolved,
) -> Result<Result<Vec<String>, Problem>, Error> {
    let namespace = &owner.namespace;
    delete::<Deployment>(&context.client, owner, &owner.object_name(Component::Ingestor)).await?;
    let ingestors = observe::ingestors(context, owner).await?;
    if !ingestors.is_empty() {
        let message =
            format!("{} ingestor pods are still ending; topics and tables go after them", ingestors.len());
        return Ok(Err(Problem::new(Reason::Deleting, message)));
    }
    let sources = match Sources::recorded(namespace, resolved) {
        Ok(sources) => sources,
        Err(problem) => return Ok(Err(problem)),
    };
    let secrets = fetch::secrets(context, &sources).await?;
    let connections = validate::connections(&sources, &context.fleet, secrets);
    let in_kafka = async { drop_in_kafka(context, &connections.kafka?, resolved).await };
    let in_clickhouse = async {
        let comment = format!("{}/{namespace}/{}", context.fleet.installation, owner.name);
        drop_in_clickhouse(context, &connections.clickhouse?, resolved, &comment).await
    };
    let (kafka, clickhouse) = tokio::join!(in_kafka, in_clickhouse);
    Ok(kafka.and_then(|dropped| Ok([dropped, clickhouse?].concat())))
}

async fn drop_in_kafka(
    context: &Context,
    kafka: &Kafka,
    resolved: &Resolved,
) -> Result<Vec<String>, Problem> {
    let mut dropped = Vec::new();
    let admin = kafka_admin(context, kafka).await?;
    for (created, topic, id) in [
        (resolved.dead_letter_topic_created, &resolved.dead_letter_topic, &resolved.dead_letter_topic_id),
        (resolved.topic_created, &resolved.topic, &resolved.topic_id),
    ] {
        if !created {
            continue;
        }
        match admin.describe(topic).await? {
            Some(found) if id.as_ref().is_none_or(|recorded| *recorded == found.topic_id) => {
                admin.delete_topic(topic).await?;
                dropped.push(format!("topic {topic:?}"));
            }
            // Another topic of that name is somebody else's.
            Some(_) => tracing::warn!(topic, "left a topic that was made anew since it was recorded"),
            None => (),
        }
    }
    admin.delete_group(&resolved.group).await?;
    dropped.push(format!("consumer group {:?}", resolved.group));
    Ok(dropped)
}

async fn drop_in_clickhouse(
    context: &Context,
    clickhouse: &ClickHouse,
    resolved: &Resolved,
    comment: &str,
) -> Result<Vec<String>, Problem> {
    let mut dropped = Vec::new();
    if !resolved.table_created {
        return Ok(dropped);
    }
    let admin = clickhouse_admin(context, clickhouse).await?;
    let database = &resolved.database;
    for table in [&resolved.table, &format!("{}__ledger", resolved.table)] {
        let found = admin.table(database, table).await?;
        if found.is_some_and(|found| found.definition.comment == comment) {
            admin.execute(&format!("drop table {database}.{table}"), &drop_table(database, table)).await?;
            dropped.push(format!("table {database}.{table}"));
        }
    }
    Ok(dropped)
}
