//! All pipelines → who owns which topic, table and group. Whoever has recorded
//! it wins; of those that have not, the older pipeline. Pure.

use std::fmt;

use caudal_model::Fleet;
use caudal_model::resolve::resolve;
use caudal_model::resource::{DataPipeline, DataPipelineStatus, Resolved};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::reason::{Problem, Reason};

/// How firmly a pipeline holds what it claims; the firmest is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Recorded, with the cluster its topics are in.
    Established,
    /// Recorded, and perhaps made already.
    Recorded,
    /// What it would record next.
    Expected,
}

/// What one pipeline claims of what is shared by all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    standing: Standing,
    created: Option<Time>,
    uid: String,
    namespace: String,
    name: String,
    resolved: Resolved,
}

/// What another pipeline owns already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub thing: Thing,
    owner: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    Topic(String),
    Group(String),
    Table(String),
}

impl fmt::Display for Thing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(out, "topic {name:?}"),
            Self::Group(name) => write!(out, "consumer group {name:?}"),
            Self::Table(name) => write!(out, "table {name:?}"),
        }
    }
}

impl From<&Conflict> for Problem {
    fn from(Conflict { thing, owner }: &Conflict) -> Self {
        let message = format!(
            "{thing} belongs to DataPipeline {owner}, which has it already; name another one, or delete that pipeline"
        );
        Self::new(Reason::NameConflict, message)
    }
}

/// Keeps of a pipeline what claims need, so that a cache of thousands is small:
/// the identity it has or would get goes to `status.resolved`, the rest goes.
/// `observedGeneration` stays exactly with an identity that is recorded.
pub fn trim(pipeline: &mut DataPipeline, fleet: &Fleet) {
    let recorded = pipeline.status.take().and_then(|status| status.resolved);
    let observed_generation = recorded.is_some().then(|| pipeline.metadata.generation.unwrap_or_default());
    let resolved =
        recorded.or_else(|| resolve(pipeline, fleet, None).ok().map(|resolution| resolution.identity));
    pipeline.status = Some(DataPipelineStatus { observed_generation, resolved, ..Default::default() });
    pipeline.metadata.managed_fields = None;
    // The annotation that kubectl apply leaves is a second copy of the whole.
    if let Some(annotations) = &mut pipeline.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    pipeline.spec.schema.fields = Vec::new();
    pipeline.spec.api = None;
}

impl Claim {
    /// What a pipeline claims by `resolved`, which stands in its record or is
    /// what it would get.
    pub fn of(pipeline: &DataPipeline, resolved: &Resolved, recorded: bool) -> Self {
        let standing = match (recorded, &resolved.cluster_id) {
            (false, _) => Standing::Expected,
            (true, None) => Standing::Recorded,
            (true, Some(_)) => Standing::Established,
        };
        Self {
            standing,
            created: pipeline.metadata.creation_timestamp.clone(),
            uid: pipeline.uid().unwrap_or_default(),
            namespace: pipeline.namespace().unwrap_or_default(),
            name: pipeline.name_any(),
            resolved: resolved.clone(),
        }
    }

    /// The same claim as if it were recorded, in the cluster that was found.
    #[must_use]
    pub(super) fn taken(&self) -> Self {
        let standing =
            if self.resolved.cluster_id.is_some() { Standing::Established } else { Standing::Recorded };
        Self { standing, ..self.clone() }
    }

    /// The same claim, knowing in which cluster its topics are.
    #[must_use]
    pub fn in_cluster(mut self, id: &str) -> Self {
        self.resolved.cluster_id = Some(id.to_owned());
        self
    }

    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.standing != Standing::Expected
    }

    /// The things that others own.
    pub fn conflicts<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Vec<Conflict> {
        let first = others.into_iter().filter(|other| other.uid != self.uid && other.rank() < self.rank());
        first.flat_map(|other| self.shared_with(other)).collect()
    }

    /// Smaller comes first. Timestamps have whole seconds, so the uid decides
    /// between those that are equal; never against a record.
    fn rank(&self) -> (Standing, Option<&Time>, &str) {
        (self.standing, self.created.as_ref(), &self.uid)
    }

    fn shared_with(&self, other: &Self) -> Vec<Conflict> {
        let owner = format!("{}/{}", other.namespace, other.name);
        let (mine, theirs) = (&self.resolved, &other.resolved);
        let mut things = Vec::new();
        if self.same_cluster(other) {
            let their_topics = [&theirs.topic, &theirs.dead_letter_topic];
            let topics = [&mine.topic, &mine.dead_letter_topic].into_iter();
            things.extend(topics.filter(|topic| their_topics.contains(topic)).cloned().map(Thing::Topic));
            if mine.group == theirs.group {
                things.push(Thing::Group(mine.group.clone()));
            }
        }
        // Two ways to one server are told apart by the tables' comments.
        let same_server =
            self.connection(&mine.clickhouse_connection) == other.connection(&theirs.clickhouse_connection);
        if same_server && (&mine.database, &mine.table) == (&theirs.database, &theirs.table) {
            things.push(Thing::Table(format!("{}.{}", mine.database, mine.table)));
        }
        things.into_iter().map(|thing| Conflict { thing, owner: owner.clone() }).collect()
    }

    fn same_cluster(&self, other: &Self) -> bool {
        match (&self.resolved.cluster_id, &other.resolved.cluster_id) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => {
                self.connection(&self.resolved.kafka_connection)
                    == other.connection(&other.resolved.kafka_connection)
            }
        }
    }

    /// Secrets of the same name in two namespaces are two connections.
    fn connection<'a>(&'a self, source: &'a str) -> (&'a str, &'a str) {
        if source.starts_with("secret/") { (&self.namespace, source) } else { ("", source) }
    }
}

/// The claims of all pipelines of a trimmed cache.
pub fn of_all<'a>(pipelines: impl Iterator<Item = &'a DataPipeline>) -> Vec<Claim> {
    let claim = |pipeline: &DataPipeline| {
        let status = pipeline.status.as_ref()?;
        Some(Claim::of(pipeline, status.resolved.as_ref()?, status.observed_generation.is_some()))
    };
    pipelines.filter_map(claim).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    pub fn claim(age: i64, uid: &str, namespace: &str, name: &str) -> Claim {
        Claim {
            standing: Standing::Expected,
            created: Some(Time(Timestamp::from_second(age).unwrap())),
            uid: uid.into(),
            namespace: namespace.into(),
            name: name.into(),
            resolved: Resolved {
                kafka_connection: "fleet/default".into(),
                clickhouse_connection: "fleet/default".into(),
                topic: format!("{namespace}.{name}"),
                dead_letter_topic: format!("{namespace}.{name}.dead-letters"),
                group: format!("caudal.{namespace}.{name}"),
                database: namespace.into(),
                table: name.into(),
                ..Resolved::default()
            },
        }
    }

    pub fn sharing_a_topic(mut claim: Claim) -> Claim {
        claim.resolved.topic = "shared".into();
        claim
    }

    impl Claim {
        pub fn by_secret(mut self, name: &str) -> Self {
            self.resolved.kafka_connection = format!("secret/{name}");
            self
        }
    }

    pub fn things(conflicts: &[Conflict]) -> Vec<String> {
        conflicts.iter().map(|conflict| conflict.thing.to_string()).collect()
    }

    #[test]
    fn the_older_pipeline_owns_a_topic() {
        let old = claim(1, "z", "a", "orders");
        let mut young = claim(2, "a", "b", "orders");
        young.resolved.topic = "a.orders".into();
        let all = [old.clone(), young.clone()];
        assert_eq!(old.conflicts(&all), []);
        let conflicts = young.conflicts(&all);
        assert_eq!(things(&conflicts), ["topic \"a.orders\""]);
        let problem = Problem::from(&conflicts[0]);
        assert!(problem.message.contains("a/orders"), "{}", problem.message);
    }

    #[test]
    fn of_two_made_in_one_second_the_uid_decides() {
        let mut one = claim(1, "a", "a", "orders");
        let two = claim(1, "b", "b", "orders");
        one.resolved.database = "b".into();
        let all = [one.clone(), two.clone()];
        assert_eq!(one.conflicts(&all), []);
        assert_eq!(things(&two.conflicts(&all)), ["table \"b.orders\""]);
    }

    #[test]
    fn recorded_beats_a_smaller_uid_of_the_same_second() {
        let owner = Claim { standing: Standing::Recorded, ..sharing_a_topic(claim(1, "z", "a", "orders")) };
        let thief = sharing_a_topic(claim(1, "a", "b", "thief"));
        assert_eq!(owner.conflicts([&thief]), []);
        assert_eq!(things(&thief.conflicts([&owner])), ["topic \"shared\""]);
    }

    #[test]
    fn the_cache_knows_what_is_recorded_and_what_only_expected() {
        let fleet = Fleet::from_yaml(
            "{installation: caudal, image: {name: caudal, tag: a}, connections: {kafka: {default: {namespaces: \
             ['*']}}, clickhouse: {default: {namespaces: ['*']}}}}",
        )
        .unwrap();
        let mut pipeline: DataPipeline = serde_json::from_value(serde_json::json!({
            "apiVersion": "caudal.dev/v1alpha1", "kind": "DataPipeline",
            "metadata": {"name": "orders", "namespace": "shop", "uid": "u", "generation": 3},
            "spec": {
                "schema": {"fields": [{"name": "id", "type": "UInt64"}]},
                "sink": {"clickhouse": {"orderBy": ["id"]}},
            },
        }))
        .unwrap();
        let recorded = claim(1, "u", "shop", "orders").resolved;
        let mut cached = pipeline.clone();
        trim(&mut cached, &fleet);
        assert_eq!(of_all([&cached].into_iter())[0].standing, Standing::Expected);
        pipeline.status = Some(DataPipelineStatus { resolved: Some(recorded), ..Default::default() });
        trim(&mut pipeline, &fleet);
        assert_eq!(of_all([&pipeline].into_iter())[0].standing, Standing::Recorded);
    }

    #[test]
    fn the_same_name_in_two_namespaces_shares_nothing() {
        let all = [claim(1, "a", "a", "orders"), claim(2, "b", "b", "orders")];
        assert_eq!(all[1].conflicts(&all), []);
    }

    #[test]
    fn the_same_name_on_another_cluster_is_another_topic() {
        let old = claim(1, "z", "a", "orders");
        let mut young = claim(2, "a", "b", "orders");
        young.resolved.topic = "a.orders".into();
        young.resolved.kafka_connection = "secret/mine".into();
        assert_eq!(young.conflicts([&old]), []);
        let known = |mut claim: Claim| {
            claim.resolved.cluster_id = Some("c".into());
            claim
        };
        assert_eq!(things(&known(young).conflicts([&known(old)])), ["topic \"a.orders\""]);
    }

    #[test]
    fn a_dead_letter_topic_is_owned_like_any_other() {
        let old = claim(1, "z", "a", "orders");
        let mut young = claim(2, "a", "b", "letters");
        young.resolved.topic = "a.orders.dead-letters".into();
        assert_eq!(things(&young.conflicts([&old])), ["topic \"a.orders.dead-letters\""]);
    }
}
