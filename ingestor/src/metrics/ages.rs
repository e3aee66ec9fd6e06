//! A histogram that takes the ages of a whole block at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in milliseconds.
const BOUNDS: [i64; 14] =
    [100, 250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 3_600_000];

#[derive(Clone, Debug)]
pub struct Ages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Ascending; the last bucket has none.
    bounds: Vec<i64>,
    counts: Vec<AtomicU64>,
    sum_ms: AtomicU64,
}

impl Default for Ages {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Ages {
    pub fn new(bound_ms: Option<u64>) -> Self {
        let mut bounds = BOUNDS.to_vec();
        bounds.extend(bound_ms.and_then(|bound| i64::try_from(bound).ok()));
        bounds.sort_unstable();
        bounds.dedup();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_ms: AtomicU64::new(0) }))
    }

    /// The age, at `now_ms`, of everything that happened at `times_ms`.
    pub fn observe_all(&self, now_ms: i64, times_ms: impl Iterator<Item = i64>) {
        let Inner { bounds, counts, sum_ms } = &*self.0;
        let mut found = vec![0_u64; counts.len()];
        let mut sum = 0;
        // Neighbours are mostly of one age: try the last bucket first.
        let mut bucket = 0;
        for time in times_ms {
            let age = now_ms.saturating_sub(time).max(0);
            sum += age.unsigned_abs();
            let fits = bounds.get(bucket).is_none_or(|bound| age <= *bound)
                && (bucket == 0 || age > bounds[bucket - 1]);
            if !fits {
                bucket = bounds.partition_point(|bound| *bound < age);
            }
            found[bucket] += 1;
        }
        for (count, found) in counts.iter().zip(found) {
            count.fetch_add(found, Ordering::Relaxed);
        }
        sum_ms.fetch_add(sum, Ordering::Relaxed);
    }
}

impl EncodeMetric for Ages {
    #[allow(clippy::cast_precision_loss)]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Inner { bounds, counts, sum_ms } = &*self.0;
        let bounds = bounds.iter().map(|bound| *bound as f64 / 1e3).chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = sum_ms.load(Ordering::Relaxed) as f64 / 1e3;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_age_in_its_bucket() {
        let ages = Ages::new(Some(1_500));
        ages.observe_all(
            10_000_000,
            [10_000_000, 10_000_100, 9_999_900, 9_998_500, 9_998_499, 0].into_iter(),
        );
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register("age", "help", ages);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "age_bucket{le=\"0.1\"} 3",
            "age_bucket{le=\"1.5\"} 4",
            "age_bucket{le=\"2.0\"} 5",
            "age_bucket{le=\"3600.0\"} 5",
            "age_bucket{le=\"+Inf\"} 6",
            "age_count 6",
            "age_sum 10003.101",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
