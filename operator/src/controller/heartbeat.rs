//! Connections in use → the pipelines whose connection went away or came back,
//! so that their conditions say so within seconds and not at the next resync.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use caudal_model::resolve::ConnectionSource;
use caudal_model::resource::{DataPipeline, Resolved};
use futures::{Stream, StreamExt as _, stream};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::time::MissedTickBehavior;

use super::connections::{Part, client_name};
use crate::context::Context;

const PERIOD: Duration = Duration::from_secs(10);
/// Connections of one kind that are checked at a time; a check may hold a thread.
const CHECKS_AT_ONCE: usize = 32;

/// One check of each connection per period, however many pipelines use it.
pub fn changes(context: Arc<Context>) -> impl Stream<Item = ObjectRef<DataPipeline>> + Send {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (context, ticks, HashMap::new());
    let rounds = stream::unfold(state, async |(context, mut ticks, mut answered)| {
        ticks.tick().await;
        let now = check(&context).await;
        let changed = changed(&answered, &now);
        answered = now;
        let users = users(&context, &changed);
        Some((stream::iter(users), (context, ticks, answered)))
    });
    rounds.flatten()
}

type Connection = (Part, String);

/// Which connections answer now; a refusal is an answer, wrong credentials are
/// none that helps.
async fn check(context: &Context) -> HashMap<Connection, bool> {
    let kafkas = stream::iter(context.kafkas.clients());
    let kafkas = kafkas.map(async |(name, admin)| ((Part::Kafka, name), admin.check().await));
    let clickhouses = stream::iter(context.clickhouses.clients());
    let clickhouses = clickhouses.map(async |(name, admin)| ((Part::ClickHouse, name), admin.check().await));
    let (mut answers, more): (HashMap<_, _>, Vec<_>) = tokio::join!(
        kafkas.buffer_unordered(CHECKS_AT_ONCE).collect(),
        clickhouses.buffer_unordered(CHECKS_AT_ONCE).collect(),
    );
    answers.extend(more);
    answers
}

fn changed(before: &HashMap<Connection, bool>, now: &HashMap<Connection, bool>) -> Vec<Connection> {
    let differs = |(connection, answers): (&Connection, &bool)| {
        before.get(connection).is_some_and(|answered| answered != answers).then(|| connection.clone())
    };
    now.iter().filter_map(differs).collect()
}

fn users(context: &Context, connections: &[Connection]) -> Vec<ObjectRef<DataPipeline>> {
    if connections.is_empty() {
        return Vec::new();
    }
    for (part, name) in connections {
        tracing::info!(part = part.as_str(), connection = name, "a connection went away or came back");
    }
    let users = context.pipelines.state_filter(|pipeline| uses(pipeline, connections));
    users.iter().map(|pipeline| ObjectRef::from_obj(pipeline.as_ref())).collect()
}

fn uses(pipeline: &DataPipeline, connections: &[Connection]) -> bool {
    let resolved = pipeline.status.as_ref().and_then(|status| status.resolved.as_ref());
    let Some(Resolved { kafka_connection, clickhouse_connection, .. }) = resolved else { return false };
    let namespace = pipeline.namespace().unwrap_or_default();
    [(Part::Kafka, kafka_connection), (Part::ClickHouse, clickhouse_connection)].into_iter().any(
        |(part, recorded)| {
            let source = recorded.parse::<ConnectionSource>();
            source.is_ok_and(|source| connections.contains(&(part, client_name(&source, &namespace))))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_connection_can_change() {
        let kafka = || (Part::Kafka, "fleet/default".to_owned());
        let up = HashMap::from([(kafka(), true)]);
        let down = HashMap::from([(kafka(), false)]);
        assert_eq!(changed(&HashMap::new(), &down), []);
        assert_eq!(changed(&up, &up), []);
        assert_eq!(changed(&up, &down), [kafka()]);
        assert_eq!(changed(&down, &up), [kafka()]);
    }

    #[test]
    fn a_pipeline_uses_the_connections_it_recorded() {
        let mut pipeline: DataPipeline = serde_json::from_value(serde_json::json!({
            "apiVersion": "caudal.dev/v1alpha1", "kind": "DataPipeline",
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"schema": {"fields": []}, "sink": {"clickhouse": {"orderBy": []}}},
        }))
        .unwrap();
        let mine = [(Part::Kafka, "shop/secret/mine".to_owned())];
        assert!(!uses(&pipeline, &mine));
        let resolved = Resolved {
            kafka_connection: "secret/mine".into(),
            clickhouse_connection: "fleet/default".into(),
            ..Resolved::default()
        };
        pipeline.status.get_or_insert_default().resolved = Some(resolved);
        assert!(uses(&pipeline, &mine));
        assert!(!uses(&pipeline, &[(Part::Kafka, "other/secret/mine".to_owned())]));
        assert!(uses(&pipeline, &[(Part::ClickHouse, "fleet/default".to_owned())]));
    }
}
