//! `caudal_api_…`: what the process counts. No label comes from a request's data.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caudal_model::plan::PipelineId;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// 0.3 and 0.5 are limits that users of the API are commonly promised.
const SECONDS: [f64; 9] = [0.005, 0.025, 0.1, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// Handles to the metrics; clones share them.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    shed: Counter,
    clickhouse_seconds: Histogram,
    clickhouse_errors: Counter,
    watermark: Arc<WatermarkAge>,
}

impl Metrics {
    /// The metrics and the registry that shows them.
    pub fn new(pipeline: &PipelineId) -> (Self, Registry) {
        let PipelineId { namespace, name } = pipeline;
        let labels = [("namespace", namespace), ("pipeline", name)]
            .map(|(label, value)| (Cow::Borrowed(label), Cow::Owned(value.clone())));
        let mut registry = Registry::with_prefix_and_labels("caudal_api", labels.into_iter());
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            shed: Counter::default(),
            clickhouse_seconds: histogram(),
            clickhouse_errors: Counter::default(),
            watermark: Arc::new(WatermarkAge(AtomicI64::new(UNKNOWN))),
        };
        let Self { requests, seconds, in_flight, shed, clickhouse_seconds, clickhouse_errors, watermark } =
            metrics.clone();
        registry.register("requests", "Requests answered, by route and status code", requests);
        registry.register(
            "request_seconds",
            "Time from a request to its answer, by route; server errors are left out",
            seconds,
        );
        registry.register("requests_in_flight", "Requests being answered", in_flight);
        registry.register("shed", "Requests refused because too many were running", shed);
        registry.register("clickhouse_seconds", "Time ClickHouse took per query", clickhouse_seconds);
        registry.register("clickhouse_errors", "Queries that ClickHouse did not answer", clickhouse_errors);
        registry.register_collector(Box::new(watermark));
        (metrics, registry)
    }

    /// A request began; it ends when the guard is dropped.
    pub fn request(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub fn answered(&self, route: &str, code: u16, after: Duration) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), code }).inc();
        if code < 500 {
            self.seconds.get_or_create(&RouteLabels { route: route.to_owned() }).observe(after.as_secs_f64());
        }
    }

    pub fn shed(&self) {
        self.shed.inc();
    }

    pub fn clickhouse(&self, after: Duration, answered: bool) {
        self.clickhouse_seconds.observe(after.as_secs_f64());
        if !answered {
            self.clickhouse_errors.inc();
        }
    }

    /// Everything up to this moment (milliseconds since 1970) is stored.
    pub fn watermark(&self, message_time: Option<i64>) {
        self.watermark.0.store(message_time.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// What [`Metrics::watermark`] was told last.
    pub fn last_watermark(&self) -> Option<i64> {
        Some(self.watermark.0.load(Ordering::Relaxed)).filter(|at| *at != UNKNOWN)
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

/// Counts a request as long as it lives, also one whose client went away.
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const UNKNOWN: i64 = i64::MIN;

/// The age is that of the moment of the scrape, so it grows when nothing moves.
#[derive(Debug)]
struct WatermarkAge(AtomicI64);

impl Collector for WatermarkAge {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let at = self.0.load(Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let (Ok(now), true) = (i64::try_from(now), at != UNKNOWN) else { return Ok(()) };
        #[expect(clippy::cast_precision_loss, reason = "an age of 2^53 milliseconds is not reached")]
        let gauge = ConstGauge::new((now - at) as f64 / 1000.0);
        let help = "Seconds since the message time up to which everything is stored";
        gauge.encode(encoder.encode_descriptor("watermark_age_seconds", help, None, gauge.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn shows_what_happened() {
        let pipeline = PipelineId { namespace: "shop".into(), name: "orders".into() };
        let (metrics, registry) = Metrics::new(&pipeline);
        assert!(!text(&registry).contains("caudal_api_watermark_age_seconds{"), "unknown is no value");
        metrics.answered("/v1/records", 200, Duration::from_millis(200));
        metrics.answered("/v1/records", 503, Duration::from_millis(1));
        metrics.watermark(Some(0));
        let guard = metrics.request();
        let shown = text(&registry);
        for line in [
            r#"caudal_api_request_seconds_count{namespace="shop",pipeline="orders",route="/v1/records"} 1"#,
            r#"caudal_api_requests_total{namespace="shop",pipeline="orders",route="/v1/records",code="200"} 1"#,
            r#"caudal_api_request_seconds_bucket{namespace="shop",pipeline="orders",le="0.3",route="/v1/records"} 1"#,
            r#"caudal_api_requests_in_flight{namespace="shop",pipeline="orders"} 1"#,
            r#"caudal_api_watermark_age_seconds{namespace="shop",pipeline="orders"} "#,
        ] {
            assert!(shown.contains(line), "{line} in\n{shown}");
        }
        drop(guard);
        assert!(
            text(&registry)
                .contains(r#"caudal_api_requests_in_flight{namespace="shop",pipeline="orders"} 0"#)
        );
    }
}
