//! A resolution, facts and connections → what to build. Pure.

use std::collections::BTreeSet;

use caudal_model::resolve::{Facts, Resolution};
use k8s_openapi::api::apps::v1::Deployment;

use super::build::{Blueprint, Files, MountedPlan, Objects, Owner, WorkloadSpec, build};
use super::connections::{ClickHouse, Kafka};
use super::create::{ClickHouseFacts, KafkaFacts};
use super::fetch::Fetched;
use super::plans;
use super::reason::Problem;
use super::validate::Connections;
use crate::context::Context;

/// The plans that both workloads mount.
pub struct Mounts {
    pub ingestor: MountedPlan,
    /// Revisions of former plans, for the ingestor.
    pub formers: BTreeSet<String>,
    pub api: Option<MountedPlan>,
}

impl Mounts {
    /// The new plans when both sides have what they need; else those that run, so
    /// that a spec that fails leaves the last good workload running. `None` when
    /// nothing runs yet.
    pub fn of(
        fetched: &Fetched,
        resolution: &Resolution,
        connections: &Connections,
        kafka: &Result<KafkaFacts, Problem>,
        clickhouse: &Result<ClickHouseFacts, Problem>,
    ) -> Option<Self> {
        if let (Ok(kafka), Ok(clickhouse), Some(addresses)) = (kafka, clickhouse, connections.addresses()) {
            let facts = Facts {
                cluster_id: kafka.cluster_id.clone(),
                topic_id: kafka.topic.topic_id.clone(),
                table_uuid: clickhouse.table_uuid.clone(),
                delivery: clickhouse.delivery(resolution),
            };
            let plan = resolution.plan(&addresses, &facts);
            return Some(Self {
                ingestor: MountedPlan::New(plan.for_ingestor().into()),
                formers: BTreeSet::new(),
                api: plan.api.is_some().then(|| MountedPlan::New(plan.for_api_server().into())),
            });
        }
        let running = |deployment: Option<&Deployment>| {
            deployment.and_then(plans::mounted).map(|name| MountedPlan::Running(name.to_owned()))
        };
        Some(Self {
            ingestor: running(fetched.ingestor.as_ref())?,
            formers: BTreeSet::new(),
            api: running(fetched.api.as_ref()),
        })
    }
}

pub fn objects(
    context: &Context,
    owner: &Owner,
    resolution: &Resolution,
    mounts: Mounts,
    kafka: &Kafka,
    clickhouse: &ClickHouse,
) -> Objects {
    let Mounts { ingestor, formers, api } = mounts;
    let kafka_ca = kafka.access.ca.as_deref();
    let clickhouse_ca = clickhouse.access.ca.as_deref();
    let api = resolution.api.as_ref().zip(api).map(|(api, plan)| WorkloadSpec {
        plan,
        former_plans: BTreeSet::new(),
        replicas: api.replicas,
        resources: api.resources.clone(),
        credentials: Files::default().with("clickhouse", clickhouse.reader.as_ref(), clickhouse_ca),
    });
    build(&Blueprint {
        owner: owner.clone(),
        image: context.fleet.image.clone(),
        operator_namespace: context.operator_namespace.clone(),
        ingestor: WorkloadSpec {
            plan: ingestor,
            former_plans: formers,
            replicas: resolution.ingest.replicas,
            resources: resolution.ingest.resources.clone(),
            credentials: Files::default().with("kafka", kafka.data.as_ref(), kafka_ca).with(
                "clickhouse",
                clickhouse.ingest.as_ref(),
                clickhouse_ca,
            ),
        },
        api,
    })
}
