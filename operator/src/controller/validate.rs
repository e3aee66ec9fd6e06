//! What was fetched → a pipeline that can be worked on, or what is wrong with
//! it. Pure.

use caudal_model::Fleet;
use caudal_model::resolve::{Addresses, ConnectionSource, Resolution, Violation, resolve};
use caudal_model::resource::DataPipeline;

use super::claims::{Claim, Conflict, Thing};
use super::connections::{self, ClickHouse, Kafka, Part, SecretText};
use super::fetch::FetchedSecret;
use super::reason::{Problem, Reason};
use super::sources::Sources;

/// A pipeline without fault in itself and without rival.
#[derive(Debug)]
pub struct Validated {
    pub resolution: Resolution,
}

/// Why nothing may be created for a pipeline.
#[derive(Debug)]
pub enum Invalid {
    Spec(Problem),
    Claimed(Claimed),
}

/// Other pipelines own what it wants.
#[derive(Debug, Default)]
pub struct Claimed {
    pub topic: Option<Problem>,
    pub table: Option<Problem>,
}

impl Claimed {
    /// `None` without a conflict.
    pub fn by(conflicts: &[Conflict]) -> Option<Self> {
        let first = |wanted: fn(&Thing) -> bool| {
            conflicts.iter().find(|conflict: &&Conflict| wanted(&conflict.thing)).map(Problem::from)
        };
        (!conflicts.is_empty()).then(|| Self {
            topic: first(|thing| matches!(thing, Thing::Topic(_) | Thing::Group(_))),
            table: first(|thing| matches!(thing, Thing::Table(_))),
        })
    }
}

pub fn validate(pipeline: &DataPipeline, fleet: &Fleet, others: &[Claim]) -> Result<Validated, Invalid> {
    let recorded = pipeline.status.as_ref().and_then(|status| status.resolved.as_ref());
    let resolution = resolve(pipeline, fleet, recorded).map_err(|found| Invalid::Spec(invalid(&found)))?;
    let claim = Claim::of(pipeline, &resolution.identity, recorded.is_some());
    match Claimed::by(&claim.conflicts(others)) {
        None => Ok(Validated { resolution }),
        Some(claimed) => Err(Invalid::Claimed(claimed)),
    }
}

fn invalid(found: &[Violation]) -> Problem {
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    Problem::new(Reason::InvalidSpec, texts.join("; "))
}

/// Both connections; each may be usable while the other is not.
#[derive(Debug)]
pub struct Connections {
    pub kafka: Result<Kafka, Problem>,
    pub clickhouse: Result<ClickHouse, Problem>,
}

impl Connections {
    /// The addresses for the plan, when both are known.
    pub fn addresses(&self) -> Option<Addresses> {
        let (Ok(kafka), Ok(clickhouse)) = (&self.kafka, &self.clickhouse) else { return None };
        Some(Addresses { kafka: kafka.access.connection.clone(), clickhouse: clickhouse.address() })
    }
}

pub fn connections(
    sources: &Sources,
    fleet: &Fleet,
    (kafka, clickhouse): (FetchedSecret, FetchedSecret),
) -> Connections {
    let namespace = &sources.namespace;
    let fleet_name = |source: &ConnectionSource| match source {
        ConnectionSource::Fleet(name) => Some(name.clone()),
        ConnectionSource::Secret(_) => None,
    };
    let kafka = text(Part::Kafka, kafka).and_then(|secret| {
        let settings = fleet_name(&sources.kafka).and_then(|name| fleet.connections.kafka.get(&name));
        connections::kafka(&sources.kafka, namespace, settings, &secret)
    });
    let clickhouse = text(Part::ClickHouse, clickhouse).and_then(|secret| {
        let settings =
            fleet_name(&sources.clickhouse).and_then(|name| fleet.connections.clickhouse.get(&name));
        connections::clickhouse(&sources.clickhouse, namespace, settings, &secret)
    });
    Connections { kafka, clickhouse }
}

fn text(part: Part, FetchedSecret { reference, secret }: FetchedSecret) -> Result<SecretText, Problem> {
    match reference {
        None => Ok(SecretText::default()),
        Some(reference) => connections::secret_text(part, &reference, secret),
    }
}
