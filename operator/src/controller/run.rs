//! Watches → a stream of reconciles, until shutdown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_model::resource::DataPipeline;
use futures::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::reflector::{ObjectRef, store::Writer};
use kube::runtime::watcher::{self, Config as WatchConfig, watcher};
use kube::runtime::{
    Controller, Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, reflector,
};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::build::{MANAGED_BY_LABEL, MANAGER, PIPELINE_LABEL};
use super::claims;
use super::connections::CONNECTION_LABEL;
use super::error::Error;
use super::heartbeat;
use super::reason::Reason;
use super::reconcile::reconcile;
use crate::context::Context;

/// Reconciles at a time; the others wait their turn.
const CONCURRENCY: u16 = 16;
/// How long one reconcile may take: longer than all its requests outside with
/// their own deadlines; the API server's have none.
const RECONCILE_LIMIT: Duration = Duration::from_mins(2);
/// How long running reconciles may still take after a shutdown; pods have 30 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// A burst of changes to one pipeline's objects is one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Reconciles until `shutdown`, then lets running reconciles end.
pub async fn run(context: Arc<Context>, writer: Writer<DataPipeline>, shutdown: CancellationToken) {
    let client = &context.client;
    let controller = Controller::for_stream(pipelines(&context, writer), context.pipelines.clone())
        .with_config(Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY))
        .owns_stream(owned::<Deployment>(client))
        .owns_stream(owned::<Service>(client))
        .owns_stream(owned::<ConfigMap>(client))
        .owns_stream(owned::<Secret>(client))
        .owns_stream(owned::<ServiceAccount>(client))
        .owns_stream(owned::<NetworkPolicy>(client))
        .owns_stream(owned::<PodDisruptionBudget>(client))
        .watches_stream(owned::<Pod>(client), |pod: PartialObjectMeta<Pod>| pipeline_of(&pod))
        .watches_stream(labelled::<Secret>(client, CONNECTION_LABEL), users_of(&context))
        .watches_stream(fleet_secrets(&context), users_of(&context))
        .reconcile_on(heartbeat::changes(Arc::clone(&context)))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned());
    let reconciles = controller.run(step, retry, Arc::clone(&context));
    let all = reconciles.for_each(async |result| match result {
        Err(ControllerError::ObjectNotFound(gone)) => forget(&context, &gone),
        Err(ControllerError::QueueError(error)) => tracing::warn!(error = %chain(&error), "watch"),
        // A failed reconcile was logged where its retry was decided.
        Err(error) => tracing::debug!(%error, "reconcile"),
        Ok(_) => (),
    });
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        () = all => (),
        () = drained => tracing::warn!("ended in the middle of reconciles; the next leader does them anew"),
    }
}

/// Pipelines, trimmed; a change of status alone starts no reconcile.
fn pipelines(
    context: &Arc<Context>,
    writer: Writer<DataPipeline>,
) -> impl Stream<Item = Result<DataPipeline, watcher::Error>> + Send + use<> {
    let api: Api<DataPipeline> = Api::all(context.client.clone());
    let fleet = Arc::clone(&context.fleet);
    let changed = predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
    reflector(
        writer,
        watcher(api, WatchConfig::default())
            .default_backoff()
            .modify(move |pipeline| claims::trim(pipeline, &fleet)),
    )
    .applied_objects()
    .predicate_filter(changed, PredicateConfig::default())
}

/// Objects of a kind that pipelines own, as metadata only, deletions included.
fn owned<K>(
    client: &Client,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    labelled(client, &format!("{MANAGED_BY_LABEL}={MANAGER},{PIPELINE_LABEL}"))
}

fn labelled<K>(
    client: &Client,
    selector: &str,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api: Api<PartialObjectMeta<K>> = Api::all(client.clone());
    watcher(api, WatchConfig::default().labels(selector)).default_backoff().touched_objects()
}

/// The Secrets of the fleet's connections.
fn fleet_secrets(
    context: &Context,
) -> impl Stream<Item = Result<PartialObjectMeta<Secret>, watcher::Error>> + Send + use<> {
    let kafka = context.fleet.connections.kafka.values().map(|connection| &connection.secret_name);
    let clickhouse = context.fleet.connections.clickhouse.values().map(|connection| &connection.secret_name);
    let names: Vec<_> = kafka.chain(clickhouse).flatten().cloned().collect();
    let api: Api<PartialObjectMeta<Secret>> =
        Api::namespaced(context.client.clone(), &context.operator_namespace);
    let secrets = watcher(api, WatchConfig::default()).default_backoff().touched_objects();
    secrets.filter(move |secret| {
        let ours = secret.as_ref().is_ok_and(|secret| names.contains(&secret.name_any())) || secret.is_err();
        std::future::ready(ours)
    })
}

/// Pods belong to ReplicaSets; their label names the pipeline.
fn pipeline_of<K: Resource>(object: &K) -> Option<ObjectRef<DataPipeline>> {
    let name = object.labels().get(PIPELINE_LABEL)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// A connection's Secret → the pipelines that may use it: those of its
/// namespace, or all when it is the fleet's.
fn users_of(
    context: &Arc<Context>,
) -> impl Fn(PartialObjectMeta<Secret>) -> Vec<ObjectRef<DataPipeline>> + Send + Sync + use<> {
    let (pipelines, operator_namespace) = (context.pipelines.clone(), context.operator_namespace.clone());
    move |secret| {
        let namespace = secret.namespace();
        let all = namespace.as_deref() == Some(&operator_namespace);
        let uses = |pipeline: &DataPipeline| all || pipeline.namespace() == namespace;
        pipelines.state_filter(uses).iter().map(|pipeline| ObjectRef::from_obj(pipeline.as_ref())).collect()
    }
}

/// Drops what is kept of a pipeline that is gone.
fn forget(context: &Context, gone: &ObjectRef<DynamicObject>) {
    let namespace = gone.namespace.as_deref().unwrap_or_default();
    context.metrics.forget(namespace, &gone.name);
    if let Some(uid) = &gone.extra.uid {
        context.claims.forget(uid);
    }
    context.backoff.forget(&ObjectRef::<DataPipeline>::new(&gone.name).within(namespace).to_string());
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn step(pipeline: Arc<DataPipeline>, context: Arc<Context>) -> Result<Action, Error> {
    let key = ObjectRef::from_obj(pipeline.as_ref());
    let started = Instant::now();
    let running = context.metrics.begin();
    let result = within(RECONCILE_LIMIT, Box::pin(reconcile(&context, &key))).await;
    drop(running);
    let problem = match &result {
        Ok(outcome) => outcome.map(Reason::as_str),
        Err(error) => Some(error.label()),
    };
    context.metrics.reconciled(started.elapsed(), problem);
    let outcome = result?;
    Ok(Action::requeue(context.backoff.after(&key.to_string(), outcome)))
}

/// Nobody's silence may hold a place that others wait for.
async fn within<T>(limit: Duration, reconcile: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, reconcile).await.unwrap_or(Err(Error::Slow { limit }))
}

#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn retry(pipeline: Arc<DataPipeline>, error: &Error, context: Arc<Context>) -> Action {
    let key = ObjectRef::from_obj(pipeline.as_ref());
    if !error.is_conflict() {
        tracing::warn!(pipeline = %key, error = %chain(error), "reconcile failed");
    }
    Action::requeue(context.backoff.after_error(&key.to_string(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Backoff;

    #[tokio::test]
    async fn a_reconcile_without_an_answer_ends_and_is_tried_again() {
        let silence = std::future::pending::<Result<(), Error>>();
        let error = within(Duration::from_millis(10), silence).await.unwrap_err();
        assert_eq!(error.label(), "Slow");
        assert!(Backoff::default().after_error("shop/orders", &error) <= Duration::from_secs(1));
        assert!(error.refusal().is_err());
    }
}
