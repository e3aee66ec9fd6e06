//! One reconcile of one pipeline.

use caudal_model::resolve::Resolution;
use caudal_model::resource::{DataPipeline, Resolved};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::apply::{Applied, apply, remove_api};
use super::blueprint::{Mounts, objects};
use super::build::{Component, Objects};
use super::claims::{self, Claim};
use super::collect::{collect, knows_all_intents};
use super::conditions::{Delivered, Finding, Findings};
use super::create::{self, ClickHouseFacts, KafkaFacts};
use super::decide;
use super::error::Error;
use super::fetch::{self, Fetched};
use super::finalize;
use super::observe;
use super::plans;
use super::reason::{Problem, Reason};
use super::record;
use super::sources::Sources;
use super::status::{self, Report};
use super::survey::{Survey, survey};
use super::validate::{self, Claimed, Invalid, Validated};
use crate::context::Context;

/// What a reconcile came to: the problem that decides when to look again.
pub type Outcome = Option<Reason>;

/// Set to `"true"`: the operator changes nothing, and drops nothing of a
/// pipeline that is being deleted.
const PAUSE_ANNOTATION: &str = "caudal.dev/pause-reconciliation";

pub async fn reconcile(context: &Context, key: &ObjectRef<DataPipeline>) -> Result<Outcome, Error> {
    let Some(fetched) = fetch::fetch(context, key).await? else { return Ok(None) };
    let paused = is_annotated(&fetched.pipeline, PAUSE_ANNOTATION);
    if fetched.pipeline.metadata.deletion_timestamp.is_some() && !paused {
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
        Err(Invalid::Claimed(claimed)) => findings.claimed(claimed),
    }
    Ok(Worked { fetched, findings, resolved: None, complete: true })
}

/// A pipeline without fault and without rival, as far as the cache knows.
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
    if let Some(claimed) = take(context, &fetched, &resolution, &survey) {
        findings.claimed(claimed);
        return Ok(Worked { fetched, findings, resolved: None, complete: true });
    }
    if let Ok((_, found)) = &survey.kafka {
        let texts = findings.differences.into_iter().chain(decide::unchangeable(&resolution, found));
        findings.differences = join(texts);
    }
    let (kafka, clickhouse, recorded) =
        provide(context, &mut fetched, &resolution, survey, &findings).await?;
    findings.topic = finding(&kafka, |facts| {
        let name = &resolution.identity.topic;
        format!("topic {name:?} has {} partitions", facts.topic.partitions)
    });
    findings.table = finding(&clickhouse, |_| {
        format!("table {}.{} holds every field", resolution.identity.database, resolution.identity.table)
    });
    findings.delivery = clickhouse
        .as_ref()
        .ok()
        .map(|facts| Delivered { delivery: facts.delivery(&resolution), downgrade: facts.downgrade.clone() });
    let mounts = Mounts::of(&fetched, &resolution, &connections, &kafka, &clickhouse);
    if let (Some(mut mounts), Ok(kafka), Ok(clickhouse)) =
        (mounts, &connections.kafka, &connections.clickhouse)
    {
        let current = mounts.ingestor.name(&fetched.owner);
        mounts.formers = plans::formers(context, &fetched, &current).await?;
        let objects = objects(context, &fetched.owner, &resolution, mounts, kafka, clickhouse);
        if let Err(error) = put(context, &mut fetched, &resolution, &objects).await {
            findings.spec = Some(error.refusal()?);
        }
    }
    Ok(Worked { fetched, findings, resolved: Some(recorded), complete: true })
}

/// Takes what the pipeline wants before anything is promised; tells who has it
/// already. Here it is known which cluster is behind a connection.
fn take(context: &Context, fetched: &Fetched, resolution: &Resolution, survey: &Survey) -> Option<Claimed> {
    let recorded = fetched.pipeline.status.as_ref().is_some_and(|status| status.resolved.is_some());
    let claim = Claim::of(&fetched.pipeline, &resolution.identity, recorded);
    let claim = match &survey.kafka {
        Ok((_, found)) => claim.in_cluster(&found.cluster_id),
        Err(_) => claim,
    };
    let pipelines = context.pipelines.state();
    let cached = claims::of_all(pipelines.iter().map(AsRef::as_ref));
    let alive = pipelines.iter().filter_map(|pipeline| pipeline.uid()).collect();
    Claimed::by(&context.claims.take(&claim, &cached, &alive))
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
    let promised = record::promise(
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
        create::in_clickhouse(context, &admin, resolution, found, work).await
    };
    let (kafka, clickhouse) = tokio::join!(in_kafka, in_clickhouse);
    let recorded = record::record(promised, kafka.as_ref().ok(), clickhouse.as_ref().ok());
    Ok((kafka, clickhouse, recorded))
}

/// Puts the objects in place. An API goes only because the spec has none.
async fn put(
    context: &Context,
    fetched: &mut Fetched,
    resolution: &Resolution,
    objects: &Objects,
) -> Result<(), Error> {
    let Applied { ingestor, api } = apply(&context.client, &fetched.owner, objects).await?;
    fetched.ingestor = Some(ingestor);
    if api.is_some() {
        fetched.api = api;
    } else if resolution.api.is_none() && fetched.api.is_some() {
        remove_api(&context.client, &fetched.owner).await?;
        fetched.api = None;
    }
    Ok(())
}

/// Looks at the workloads, and writes the status.
async fn finish(context: &Context, worked: Worked) -> Result<Outcome, Error> {
    let Worked { fetched, mut findings, resolved, complete } = worked;
    let Fetched { pipeline, owner, ingestor, ingestors, api } = fetched;
    if let Some(deployment) = &ingestor {
        findings.consumers = observe::consumers(deployment, &ingestors);
        let partitions = resolved.as_ref().and_then(|resolved| resolved.partitions);
        if partitions.is_some_and(|partitions| knows_all_intents(&ingestors, partitions)) {
            collect(context, &owner, Component::Ingestor, deployment, &ingestors).await?;
        }
    }
    if let (Some(finding), Some(deployment)) = (&mut findings.api, &api) {
        *finding = observe::api(deployment);
        if finding.problem().is_none() {
            collect(context, &owner, Component::Api, deployment, &[]).await?;
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
        delivery: None,
        paused: pipeline.spec.paused,
        reconciliation_paused: false,
        differences: None,
        deletion_blocked: None,
    }
}

fn differences(resolution: &Resolution) -> Option<String> {
    join(resolution.differences.iter().map(ToString::to_string))
}

fn join(texts: impl Iterator<Item = String>) -> Option<String> {
    let texts: Vec<_> = texts.collect();
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
