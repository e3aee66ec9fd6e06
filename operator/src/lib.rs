//! Reconciles `DataPipeline`s into topics, tables and workloads.
//!
//! [`controller`] decides and acts inside Kubernetes, [`external`] talks to
//! Kafka, ClickHouse and running ingestors, [`leader`] lets one replica of
//! several do it.

pub mod args;
mod context;
mod controller;
mod external;
mod leader;
mod metrics;

use std::sync::Arc;

use anyhow::Context as _;
use caudal_service::admin;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::args::Settings;
use crate::context::Context;
use crate::controller::{Backoff, TakenClaims};
use crate::external::clickhouse::{ClickHouses, SelfTests};
use crate::external::ingestors::Ingestors;
use crate::external::kafka::Kafkas;
use crate::leader::Candidate;
use crate::metrics::Metrics;

/// Name of the controller in Events.
const CONTROLLER: &str = "caudal-operator";

/// Runs until `shutdown`; an error when leadership is lost, so that the process
/// starts anew and can't act on what it believed before.
pub async fn run(settings: Settings, client: Client, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Settings { fleet, admin_address, log_format: _, pod_name, pod_namespace } = settings;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let health = admin::serve(
        admin_address,
        Arc::new(registry),
        Arc::new(|| Ok(())),
        axum::Router::new(),
        shutdown.clone(),
    );
    let health = tokio::spawn(health);

    let mut candidate = Candidate::new(client.clone(), &pod_namespace, &pod_name);
    tracing::info!(version = caudal_service::VERSION, pod = pod_name, "waiting to lead");
    if !candidate.elected(&shutdown).await {
        return health.await?;
    }
    tracing::info!(pod = pod_name, "leading");
    metrics.leader.set(1);
    let writer = reflector::store::Writer::default();
    let context = Arc::new(Context {
        fleet: Arc::new(fleet),
        operator_namespace: pod_namespace,
        pipelines: writer.as_reader(),
        claims: TakenClaims::default(),
        recorder: Recorder::new(
            client.clone(),
            Reporter { controller: CONTROLLER.to_owned(), instance: Some(pod_name) },
        ),
        client,
        kafkas: Kafkas::default(),
        clickhouses: ClickHouses::default(),
        self_tests: SelfTests::default(),
        ingestors: Ingestors::new().context("set up the HTTP client")?,
        backoff: Backoff::default(),
        metrics: metrics.clone(),
    });
    tokio::select! {
        () = candidate.lead() => anyhow::bail!("the Lease is lost"),
        // Renewed meanwhile: it ends after its last reconcile.
        () = controller::run(context, writer, shutdown) => (),
    }
    candidate.resign().await;
    metrics.leader.set(0);
    health.await?
}
