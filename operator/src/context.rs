//! What every reconcile shares.

use std::sync::Arc;

use caudal_model::Fleet;
use caudal_model::resource::DataPipeline;
use kube::Client;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;

use crate::controller::{Backoff, TakenClaims};
use crate::external::clickhouse::{ClickHouses, SelfTests};
use crate::external::ingestors::Ingestors;
use crate::external::kafka::Kafkas;
use crate::metrics::Metrics;

pub struct Context {
    pub client: Client,
    pub fleet: Arc<Fleet>,
    /// Where the operator runs, and the fleet's Secrets are.
    pub operator_namespace: String,
    /// All pipelines, trimmed to what claims need.
    pub pipelines: Store<DataPipeline>,
    /// What pipelines were let claim.
    pub claims: TakenClaims,
    pub recorder: Recorder,
    pub kafkas: Kafkas,
    pub clickhouses: ClickHouses,
    /// How servers deduplicate.
    pub self_tests: SelfTests,
    pub ingestors: Ingestors,
    pub backoff: Backoff,
    pub metrics: Metrics,
}
