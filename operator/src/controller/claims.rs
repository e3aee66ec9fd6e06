//! All pipelines → who owns which topic, table and group. The older pipeline
//! wins. Pure.

use std::fmt;

use caudal_model::Fleet;
use caudal_model::resolve::resolve;
use caudal_model::resource::{DataPipeline, Resolved};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::reason::{Problem, Reason};

/// What one pipeline claims of what is shared by all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Older is smaller; the uid decides between those of one second.
    age: (Option<Time>, String),
    namespace: String,
    name: String,
    resolved: Resolved,
}

/// What another, older pipeline owns already.
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
            "{thing} belongs to DataPipeline {owner}, which is older; name another one, or delete that pipeline"
        );
        Self::new(Reason::NameConflict, message)
    }
}

/// Keeps of a pipeline what claims need, so that a cache of thousands is small:
/// the identity it has or would get goes to `status.resolved`, the rest goes.
pub fn trim(pipeline: &mut DataPipeline, fleet: &Fleet) {
    let recorded = pipeline.status.take().and_then(|status| status.resolved);
    let resolved =
        recorded.or_else(|| resolve(pipeline, fleet, None).ok().map(|resolution| resolution.identity));
    let status = caudal_model::resource::DataPipelineStatus { resolved, ..Default::default() };
    pipeline.status = Some(status);
    pipeline.metadata.managed_fields = None;
    // The annotation that kubectl apply leaves is a second copy of the whole.
    if let Some(annotations) = &mut pipeline.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    pipeline.spec.schema.fields = Vec::new();
    pipeline.spec.api = None;
}

impl Claim {
    /// What a pipeline claims by its recorded identity.
    pub fn of(pipeline: &DataPipeline, resolved: &Resolved) -> Self {
        Self {
            age: (pipeline.metadata.creation_timestamp.clone(), pipeline.uid().unwrap_or_default()),
            namespace: pipeline.namespace().unwrap_or_default(),
            name: pipeline.name_any(),
            resolved: resolved.clone(),
        }
    }

    /// The things an older pipeline owns.
    pub fn conflicts(&self, others: &[Self]) -> Vec<Conflict> {
        let older = others.iter().filter(|other| other.age < self.age);
        older.flat_map(|other| self.shared_with(other)).collect()
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
        let resolved = pipeline.status.as_ref()?.resolved.as_ref()?;
        Some(Claim::of(pipeline, resolved))
    };
    pipelines.filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn claim(age: i64, uid: &str, namespace: &str, name: &str) -> Claim {
        Claim {
            age: (Some(Time(Timestamp::from_second(age).unwrap())), uid.into()),
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

    fn things(conflicts: &[Conflict]) -> Vec<String> {
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
        assert_eq!(young.conflicts(std::slice::from_ref(&old)), []);
        let known = |mut claim: Claim| {
            claim.resolved.cluster_id = Some("c".into());
            claim
        };
        assert_eq!(things(&known(young).conflicts(&[known(old)])), ["topic \"a.orders\""]);
    }

    #[test]
    fn a_dead_letter_topic_is_owned_like_any_other() {
        let old = claim(1, "z", "a", "orders");
        let mut young = claim(2, "a", "b", "letters");
        young.resolved.topic = "a.orders.dead-letters".into();
        assert_eq!(things(&young.conflicts(&[old])), ["topic \"a.orders.dead-letters\""]);
    }
}
