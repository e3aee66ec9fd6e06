//! What the operator measures of itself, and each pipeline's conditions and
//! objectives. Labels from users are namespace and name of the pipeline only.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use caudal_model::resource::FreshnessObjective;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone)]
pub struct Metrics {
    reconciles: Counter,
    running: Gauge,
    errors: Family<ErrorLabels, Counter>,
    seconds: Histogram,
    conditions: Family<ConditionLabels, Gauge>,
    objectives: Family<ObjectiveLabels, Gauge<f64, AtomicU64>>,
    thresholds: Family<ObjectiveLabels, Gauge<f64, AtomicU64>>,
    pub leader: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    pipeline: String,
    condition: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ObjectiveLabels {
    namespace: String,
    pipeline: String,
    slo: &'static str,
}

/// Conditions that come and go; their series go with them.
const PASSING: [&str; 5] =
    ["APIReady", "Paused", "ReconciliationPaused", "DefaultsDiffer", "DeletionBlocked"];
const LASTING: [&str; 4] = ["Ready", "TopicReady", "TableReady", "ConsumersReady"];

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Counter::default(),
            running: Gauge::default(),
            errors: Family::default(),
            seconds: Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]),
            conditions: Family::default(),
            objectives: Family::default(),
            thresholds: Family::default(),
            leader: Gauge::default(),
        };
        let m = &metrics;
        registry.register("caudal_operator_reconciles", "Reconciles of pipelines", m.reconciles.clone());
        registry.register("caudal_operator_reconciles_running", "Reconciles under way", m.running.clone());
        registry.register(
            "caudal_operator_reconcile_errors",
            "Reconciles that ended with an error or a failing condition, by reason",
            m.errors.clone(),
        );
        let help = "How long reconciles take";
        registry.register_with_unit("caudal_operator_reconcile", help, Unit::Seconds, m.seconds.clone());
        registry.register("caudal_operator_leader", "1 on the replica that leads", m.leader.clone());
        registry.register(
            "caudal_pipeline_condition",
            "A pipeline's conditions: 1 true, 0 false, -1 unknown",
            m.conditions.clone(),
        );
        registry.register(
            "caudal_slo_objective_ratio",
            "Share of messages that must be queryable in time",
            m.objectives.clone(),
        );
        let help = "Within which time messages must be queryable";
        registry.register_with_unit("caudal_slo_threshold", help, Unit::Seconds, m.thresholds.clone());
        metrics
    }

    /// A reconcile begins; it counts as running until the value is dropped.
    pub fn begin(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// A reconcile took so long, and ended with this problem.
    pub fn reconciled(&self, duration: Duration, problem: Option<&'static str>) {
        self.reconciles.inc();
        self.seconds.observe(duration.as_secs_f64());
        if let Some(reason) = problem {
            self.errors.get_or_create(&ErrorLabels { reason }).inc();
        }
    }

    pub fn conditions(&self, namespace: &str, pipeline: &str, conditions: &[Condition]) {
        for name in PASSING {
            if conditions.iter().all(|condition| condition.type_ != name) {
                self.conditions.remove(&condition_labels(namespace, pipeline, name));
            }
        }
        for Condition { type_, status, .. } in conditions {
            let value = match status.as_str() {
                "True" => 1,
                "False" => 0,
                _ => -1,
            };
            self.conditions.get_or_create(&condition_labels(namespace, pipeline, type_)).set(value);
        }
    }

    pub fn objective(&self, namespace: &str, pipeline: &str, freshness: &FreshnessObjective) {
        let labels = freshness_labels(namespace, pipeline);
        self.objectives.get_or_create(&labels).set(freshness.objective / 100.0);
        let within = freshness.duration().unwrap_or_default();
        self.thresholds.get_or_create(&labels).set(within.as_secs_f64());
    }

    /// The pipeline is gone.
    pub fn forget(&self, namespace: &str, pipeline: &str) {
        for name in LASTING.into_iter().chain(PASSING) {
            self.conditions.remove(&condition_labels(namespace, pipeline, name));
        }
        let labels = freshness_labels(namespace, pipeline);
        self.objectives.remove(&labels);
        self.thresholds.remove(&labels);
    }
}

/// A reconcile under way.
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn condition_labels(namespace: &str, pipeline: &str, condition: &str) -> ConditionLabels {
    ConditionLabels {
        namespace: namespace.to_owned(),
        pipeline: pipeline.to_owned(),
        condition: condition.to_owned(),
    }
}

fn freshness_labels(namespace: &str, pipeline: &str) -> ObjectiveLabels {
    ObjectiveLabels { namespace: namespace.to_owned(), pipeline: pipeline.to_owned(), slo: "freshness" }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[test]
    fn the_series_of_a_pipeline_come_and_go_with_it() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let shown = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text.lines().filter(|line| line.contains("orders")).map(str::to_owned).collect::<Vec<_>>()
        };
        let condition = |name: &str, status: &str| Condition {
            type_: name.into(),
            status: status.into(),
            reason: String::new(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        metrics.conditions("shop", "orders", &[condition("Ready", "False"), condition("Paused", "True")]);
        metrics.conditions("shop", "orders", &[condition("Ready", "True")]);
        metrics.objective("shop", "orders", &FreshnessObjective { objective: 99.0, within: "10s".into() });
        assert_eq!(
            shown(),
            [
                r#"caudal_pipeline_condition{namespace="shop",pipeline="orders",condition="Ready"} 1"#,
                r#"caudal_slo_objective_ratio{namespace="shop",pipeline="orders",slo="freshness"} 0.99"#,
                r#"caudal_slo_threshold_seconds{namespace="shop",pipeline="orders",slo="freshness"} 10.0"#,
            ]
        );
        metrics.forget("shop", "orders");
        assert_eq!(shown(), Vec::<String>::new());
    }
}
