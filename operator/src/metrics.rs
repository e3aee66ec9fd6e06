//! What the operator measures of itself.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::controller::Error;

#[derive(Clone)]
pub struct Metrics {
    reconciles: Counter,
    errors: Family<ErrorLabels, Counter>,
    seconds: Histogram,
    pub leader: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    reason: &'static str,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Counter::default(),
            errors: Family::default(),
            seconds: Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]),
            leader: Gauge::default(),
        };
        registry.register(
            "caudal_operator_reconciles",
            "Reconciles of pipelines",
            metrics.reconciles.clone(),
        );
        registry.register(
            "caudal_operator_reconcile_errors",
            "Reconciles that ended with an error, by reason",
            metrics.errors.clone(),
        );
        registry.register_with_unit(
            "caudal_operator_reconcile",
            "How long reconciles take",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register("caudal_operator_leader", "1 on the replica that leads", metrics.leader.clone());
        metrics
    }

    pub fn reconciled(&self, duration: Duration, error: Option<&Error>) {
        self.reconciles.inc();
        self.seconds.observe(duration.as_secs_f64());
        if let Some(error) = error {
            self.errors.get_or_create(&ErrorLabels { reason: error.label() }).inc();
        }
    }
}
