//! What is about to be made, and what the servers say of it → `status.resolved`.
//! Pure.

use caudal_model::resource::Resolved;

use super::create::{ClickHouseFacts, KafkaFacts};
use super::decide::{ClickHouseWork, KafkaWork};
use crate::external::kafka::Creation;

/// The record with what is about to be created; written before it is.
#[must_use]
pub fn promise(
    recorded: &Resolved,
    kafka: Option<&KafkaWork>,
    clickhouse: Option<&ClickHouseWork>,
    existing_table: bool,
) -> Resolved {
    let mut promised = recorded.clone();
    if let Some(KafkaWork { create_topic, create_dead_letters, .. }) = kafka {
        // The id of one that was there before would tell the new one from ours.
        if create_topic.is_some() {
            promised.topic_created = true;
            promised.topic_id = None;
        }
        if *create_dead_letters {
            promised.dead_letter_topic_created = true;
            promised.dead_letter_topic_id = None;
        }
    }
    if clickhouse.is_some() {
        // A table that carries our comment was made by us, perhaps before a
        // re-apply that lost the status.
        promised.table_created = !existing_table;
    }
    promised
}

/// The record with the facts the servers gave.
pub fn record(
    mut recorded: Resolved,
    kafka: Option<&KafkaFacts>,
    clickhouse: Option<&ClickHouseFacts>,
) -> Resolved {
    if let Some(facts) = kafka {
        let KafkaFacts { cluster_id, topic, dead_letters, topic_creation, dead_letter_creation } = facts;
        let Resolved { topic_created, topic_id, dead_letter_topic_created, dead_letter_topic_id, .. } =
            &mut recorded;
        note(topic_created, topic_id, &topic.topic_id, *topic_creation);
        note(dead_letter_topic_created, dead_letter_topic_id, &dead_letters.topic_id, *dead_letter_creation);
        recorded.cluster_id = Some(cluster_id.clone());
        recorded.partitions = Some(topic.partitions);
    }
    if let Some(ClickHouseFacts { table_uuid, downgrade: _ }) = clickhouse {
        recorded.table_uuid = Some(table_uuid.clone());
    }
    recorded
}

/// A topic stays ours while it is the one we made; another under its name is
/// somebody else's.
fn note(created: &mut bool, recorded: &mut Option<String>, found: &str, creation: Option<Creation>) {
    *created = match creation {
        Some(Creation::Created) => true,
        Some(Creation::AlreadyThere) => false,
        None => *created && recorded.as_ref().is_none_or(|id| id == found),
    };
    *recorded = Some(found.to_owned());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::external::kafka::{NewTopic, TopicDescription};

    fn topic(id: &str) -> TopicDescription {
        TopicDescription { topic_id: id.into(), partitions: 1, replication_factor: 1 }
    }

    fn facts(id: &str, creation: Option<Creation>) -> KafkaFacts {
        KafkaFacts {
            cluster_id: "c".into(),
            topic: topic(id),
            dead_letters: topic(&format!("{id}-letters")),
            topic_creation: creation,
            dead_letter_creation: creation,
        }
    }

    fn ours(recorded: &Resolved) -> (bool, bool) {
        (recorded.topic_created, recorded.dead_letter_topic_created)
    }

    #[test]
    fn a_topic_is_ours_until_another_has_its_name() {
        let topic =
            NewTopic { name: "orders".into(), partitions: 1, replication_factor: 1, config: BTreeMap::new() };
        let work = KafkaWork { create_topic: Some(topic), create_dead_letters: true, ..KafkaWork::default() };
        let promised = promise(&Resolved::default(), Some(&work), None, false);
        let made = record(promised.clone(), Some(&facts("1", Some(Creation::Created))), None);
        assert_eq!(ours(&made), (true, true));
        assert_eq!(made.dead_letter_topic_id.as_deref(), Some("1-letters"));
        // The process ended between making and recording.
        assert_eq!(ours(&record(promised.clone(), Some(&facts("1", None)), None)), (true, true));
        let beaten = record(promised, Some(&facts("1", Some(Creation::AlreadyThere))), None);
        assert_eq!(ours(&beaten), (false, false));

        assert_eq!(ours(&record(made.clone(), Some(&facts("1", None)), None)), (true, true));
        let replaced = record(made.clone(), Some(&facts("2", None)), None);
        assert_eq!(ours(&replaced), (false, false));
        assert_eq!(replaced.topic_id.as_deref(), Some("2"));
        // Gone, and made again by us: even if the process ended meanwhile.
        let again = promise(&made, Some(&work), None, false);
        assert_eq!(ours(&record(again, Some(&facts("2", None)), None)), (true, true));
    }
}
