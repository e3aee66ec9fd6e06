//! One reconcile of one pipeline.

use std::collections::BTreeSet;

use caudal_model::Plan;
use caudal_model::resolve::{Facts, Resolution};
use caudal_model::resource::{DataPipeline, Resolved};
use kube::runtime::reflector::ObjectRef;

use super::apply::{Applied, apply};
use super::build::{Blueprint, Component, Files, Objects, Owner, WorkloadSpec, build};
use super::claims;
use super::collect::{collect, open_intents};
use super::conditions::{Finding, Findings};
use super::connections::{ClickHouse, Kafka};
use super::create::{self, ClickHouseFacts, KafkaFacts};
use super::decide;
use super::error::Error;
use super::fetch::{self, Fetched};
use super::finalize;
use super::observe;
use super::reason::{Problem, Reason};
use super::sources::Sources;
use super::status::{self, Report};
use super::survey::{Survey, survey};
use super::validate::{self, Connections, Invalid, Validated};
use crate::context::Context;

/// What a reconcile came to: the problem that decides when to look again.
pub type Outcome = Option<Reason>;

/// Set to `"true"`: the operator changes nothing.
const PAUSE_ANNOTATION: &str = "caudal.dev/pause-reconciliation";

pub async fn reconcile(context: &Context, key: &ObjectRef<DataPipeline>) -> Result<Outcome, Error> {
    let Some(fetched) = fetch::fetch(context, key).await? else { return Ok(None) };
    if fetched.pipeline.metadata.deletion_timestamp.is_some() {
        let findings = unknown(&fetched.pipeline);
        return Box::pin(finalize::finalize(context, fetched, findings)).await;
    }
    // Boxed, since each step's state is large and only one is needed at a time.
    let worked = Box::pin(work(context, fetched)).await?;
    Box::pin(finish(context, worked)).await
}

/// A pipeline that was worked on, as far as could be.
struct Worked {
    fetched: Fetched,
    findings: Findings,
    /// The record with all that is known now; `None` leaves it as it is.
    resolved: Option<Resolved>,
    /// The spec of this generation has been worked through.
    complete: bool,
}

async fn work(context: &Context, fetched: Fetched) -> Result<Worked, Error> {
    let mut findings = unknown(&fetched.pipeline);
    if is_annotated(&fetched.pipeline, PAUSE_ANNOTATION) {
        findings.reconciliation_paused = true;
        return Ok(Worked { fetched, findings, resolved: None, complete: false });
    }
    let others = claims::of_all(context.pipelines.state().iter().map(AsRef::as_ref));
    match validate::validate(&fetched.pipeline, &context.fleet, &others) {
        Ok(Validated { resolution }) => {
            return Box::pin(work_on(context, fetched, resolution, findings)).await;
        }
        Err(Invalid::Spec(problem)) => findings.spec = Some(problem),
        Err(Invalid::Claimed { topic, table }) => {
            findings.topic = topic.map_or(Finding::Unknown, Finding::Bad);
            findings.table = table.map_or(Finding::Unknown, Finding::Bad);
        }
    }
    Ok(Worked { fetched, findings, resolved: None, complete: true })
}

/// A pipeline without fault and without rival.
async fn work_on(
    context: &Context,
    mut fetched: Fetched,
    resolution: Resolution,
    mut findings: Findings,
) -> Result<Worked, Error> {
    findings.differences = differences(&resolution);
    context.metrics.objective(&fetched.owner.namespace, &fetched.owner.name, &resolution.freshness);
    fetched.pipeline = finalize::keep_finalizer(context, &fetched.owner, fetched.pipeline).await?;
    let sources = Sources::of(&resolution);
    let secrets = fetch::secrets(context, &sources).await?;
    let connections = validate::connections(&sources, &context.fleet, secrets);
    let survey = survey(context, &resolution, &connections).await;
    let (kafka, clickhouse, recorded) =
        provide(context, &mut fetched, &resolution, survey, &findings).await?;
    findings.topic = finding(&kafka, |facts| {
        let name = &resolution.identity.topic;
        format!("topic {name:?} has {} partitions", facts.topic.partitions)
    });
    findings.table = finding(&clickhouse, |_| {
        format!("table {}.{} holds every field", resolution.identity.database, resolution.identity.table)
    });
    let plan = plan(context, &fetched, &resolution, &connections, &kafka, &clickhouse).await?;
    if let (Some(plan), Ok(kafka), Ok(clickhouse)) = (plan, &connections.kafka, &connections.clickhouse) {
        let objects = objects(context, &fetched.owner, &resolution, plan, kafka, clickhouse);
        let had_api = fetched.api.is_some();
        match apply(&context.client, &fetched.owner, &objects, had_api).await {
            Ok(Applied { ingestor, api }) => (fetched.ingestor, fetched.api) = (Some(ingestor), api),
            Err(error) => findings.spec = Some(error.refusal()?),
        }
    }
    Ok(Worked { fetched, findings, resolved: Some(recorded), complete: true })
}

/// Records what is about to be created, creates it, and hands back the facts and
/// the record with them.
async fn provide(
    context: &Context,
    fetched: &mut Fetched,
    resolution: &Resolution,
    survey: Survey,
    findings: &Findings,
) -> Result<(Result<KafkaFacts, Problem>, Result<ClickHouseFacts, Problem>, Resolved), Error> {
    let kafka =
        survey.kafka.and_then(|(admin, found)| Ok((admin, decide::kafka(resolution, &found)?, found)));
    let clickhouse = survey
        .clickhouse
        .and_then(|(admin, found)| Ok((admin, decide::clickhouse(resolution, &found)?, found)));
    let promised = decide::promise(
        &resolution.identity,
        kafka.as_ref().ok().map(|(_, work, _)| work),
        clickhouse.as_ref().ok().map(|(_, work, _)| work),
        resolution.existing_table,
    );
    let report = Report {
        findings,
        resolved: Some(promised.clone()),
        ingestor: fetched.ingestor.as_ref(),
        complete: false,
    };
    fetched.pipeline = status::write(context, &fetched.owner, fetched.pipeline.clone(), report).await?;

    let in_kafka = async {
        let (admin, work, found) = kafka?;
        create::in_kafka(&admin, resolution, found, work).await
    };
    let in_clickhouse = async {
        let (admin, work, found) = clickhouse?;
        create::in_clickhouse(&admin, resolution, found, work).await
    };
    let (kafka, clickhouse) = tokio::join!(in_kafka, in_clickhouse);
    let recorded = record(promised, kafka.as_ref().ok(), clickhouse.as_ref().ok());
    Ok((kafka, clickhouse, recorded))
}

/// The record with the facts the servers gave.
fn record(
    mut recorded: Resolved,
    kafka: Option<&KafkaFacts>,
    clickhouse: Option<&ClickHouseFacts>,
) -> Resolved {
    if let Some(KafkaFacts { cluster_id, topic, topic_found, dead_letters_found }) = kafka {
        recorded.cluster_id = Some(cluster_id.clone());
        recorded.topic_id = Some(topic.topic_id.clone());
        recorded.partitions = Some(topic.partitions);
        recorded.topic_created &= !topic_found;
        recorded.dead_letter_topic_created &= !dead_letters_found;
    }
    if let Some(ClickHouseFacts { table_uuid }) = clickhouse {
        recorded.table_uuid = Some(table_uuid.clone());
    }
    recorded
}

/// The new plan when both sides have what it needs; else the one that runs, so
/// that a spec that fails leaves the last good workload running.
async fn plan(
    context: &Context,
    fetched: &Fetched,
    resolution: &Resolution,
    connections: &Connections,
    kafka: &Result<KafkaFacts, Problem>,
    clickhouse: &Result<ClickHouseFacts, Problem>,
) -> Result<Option<Plan>, Error> {
    if let (Ok(kafka), Ok(clickhouse), Some(addresses)) = (kafka, clickhouse, connections.addresses()) {
        let facts = Facts {
            cluster_id: kafka.cluster_id.clone(),
            topic_id: kafka.topic.topic_id.clone(),
            table_uuid: clickhouse.table_uuid.clone(),
        };
        return Ok(Some(resolution.plan(&addresses, &facts)));
    }
    fetch::running_plan(context, fetched).await
}

fn objects(
    context: &Context,
    owner: &Owner,
    resolution: &Resolution,
    plan: Plan,
    kafka: &Kafka,
    clickhouse: &ClickHouse,
) -> Objects {
    let kafka_ca = kafka.access.ca.as_deref();
    let clickhouse_ca = clickhouse.access.ca.as_deref();
    let api = resolution.api.as_ref().filter(|_| plan.api.is_some()).map(|api| WorkloadSpec {
        replicas: api.replicas,
        resources: api.resources.clone(),
        credentials: Files::default().with("clickhouse", clickhouse.reader.as_ref(), clickhouse_ca),
    });
    build(&Blueprint {
        owner: owner.clone(),
        image: context.fleet.image.clone(),
        operator_namespace: context.operator_namespace.clone(),
        plan,
        ingestor: WorkloadSpec {
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

/// Looks at the workloads, and writes the status.
async fn finish(context: &Context, worked: Worked) -> Result<Outcome, Error> {
    let Worked { fetched, mut findings, resolved, complete } = worked;
    let Fetched { pipeline, owner, ingestor, api } = fetched;
    if let Some(deployment) = &ingestor {
        let ingestors = observe::ingestors(context, &owner).await?;
        findings.consumers = observe::consumers(deployment, &ingestors);
        let partitions = resolved.as_ref().and_then(|resolved| resolved.partitions);
        if let Some(intents) = partitions.and_then(|partitions| open_intents(&ingestors, partitions)) {
            collect(context, &owner, Component::Ingestor, deployment, &intents).await?;
        }
    }
    if let (Some(finding), Some(deployment)) = (&mut findings.api, &api) {
        *finding = observe::api(deployment);
        if finding.problem().is_none() {
            collect(context, &owner, Component::Api, deployment, &BTreeSet::new()).await?;
        }
    }
    let outcome = worst(&findings);
    let report = Report { findings: &findings, resolved, ingestor: ingestor.as_ref(), complete };
    status::write(context, &owner, pipeline, report).await?;
    Ok(outcome)
}

/// Of the problems, the one to be looked at again soonest.
fn worst(findings: &Findings) -> Outcome {
    let Findings { spec, topic, table, consumers, api, deletion_blocked, .. } = findings;
    let parts = [Some(topic), Some(table), Some(consumers), api.as_ref()];
    let problems = parts.into_iter().flatten().filter_map(Finding::problem);
    let problems = spec.iter().chain(deletion_blocked).chain(problems);
    problems.map(|problem| problem.reason).min_by_key(|reason| reason.retry().cap())
}

fn unknown(pipeline: &DataPipeline) -> Findings {
    Findings {
        spec: None,
        topic: Finding::Unknown,
        table: Finding::Unknown,
        consumers: Finding::Unknown,
        api: pipeline.spec.api.as_ref().map(|_| Finding::Unknown),
        paused: pipeline.spec.paused,
        reconciliation_paused: false,
        differences: None,
        deletion_blocked: None,
    }
}

fn differences(resolution: &Resolution) -> Option<String> {
    let texts: Vec<_> = resolution.differences.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn finding<T>(result: &Result<T, Problem>, good: impl FnOnce(&T) -> String) -> Finding {
    match result {
        Ok(facts) => Finding::good(good(facts)),
        Err(problem) => Finding::Bad(problem.clone()),
    }
}

pub fn is_annotated(pipeline: &DataPipeline, annotation: &str) -> bool {
    let annotations = pipeline.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(annotation)).is_some_and(|value| value == "true")
}
