//! What pods get: batches, memory, replicas, the API.

use std::time::Duration;

use super::Violation;
use crate::fleet::{ApiDefaults, Defaults};
use crate::plan;
use crate::quantity;
use crate::resource::{Api, AuthMode, DataPipelineSpec, FreshnessObjective, Resources};

/// Bounds of the flush delay: shorter makes tiny parts, longer fills no larger
/// ones that matter.
const FLUSH_DELAY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Blocks in memory at once: one filling, one being sent, and their encoding.
const BLOCKS_IN_MEMORY: u64 = 4;
/// What the process needs besides blocks.
const BASE_MEMORY: u64 = 64 << 20;
/// The resource takes none smaller.
const SMALLEST_BLOCK: u64 = 65_536;
/// The memory of ingestors where neither pipeline nor fleet set a limit.
const MEMORY_WITHOUT_LIMIT: u64 = 512 << 20;

/// How the ingestor runs.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestSettings {
    pub plan: plan::Ingest,
    /// Pods that should run: none while the pipeline is paused.
    pub replicas: i32,
    pub resources: Resources,
}

/// How the API runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiSettings {
    pub plan: plan::Api,
    pub replicas: i32,
    pub resources: Resources,
}

/// Bytes of the largest block for which a pod with this memory limit has room.
pub fn largest_block(memory_limit: u64) -> u64 {
    memory_limit.saturating_sub(BASE_MEMORY) / BLOCKS_IN_MEMORY
}

/// What a process may count of its pod's memory limit: a fifth is for what it
/// does not count, which is code, stacks and the allocator.
pub fn counted_memory(memory_limit: u64) -> u64 {
    memory_limit / 5 * 4
}

/// How long a block may wait for more rows: a quarter of the objective's time,
/// from 250 ms to 30 s. The other three quarters are for the message's way to
/// the consumer, the insert and one retry of it.
pub fn flush_delay(within: Duration) -> Duration {
    (within / 4).clamp(FLUSH_DELAY.0, FLUSH_DELAY.1)
}

pub(super) fn freshness<'a>(spec: &'a DataPipelineSpec, defaults: &'a Defaults) -> &'a FreshnessObjective {
    spec.slo.freshness.as_ref().unwrap_or(&defaults.slo.freshness)
}

pub(super) fn ingest(spec: &DataPipelineSpec, defaults: &Defaults) -> Result<IngestSettings, Vec<Violation>> {
    let ingest = &spec.ingest;
    let mut found = Vec::new();
    let objective = freshness(spec, defaults);
    let within = objective.duration();
    if within.is_none() {
        let message = format!("{:?} is no duration; write one like 10s or 5m", objective.within);
        found.push(Violation::new("spec.slo.freshness.within", message));
    }
    let max_rows = ingest.batch.max_rows.unwrap_or(defaults.ingest.batch.max_rows).unsigned_abs();
    let path = "spec.ingest.resources";
    let resources = merge(path, ingest.resources.as_ref(), &defaults.ingest.resources, &mut found);
    let limit = resources.limits.memory.as_ref().and_then(|amount| quantity::bytes(amount.as_str()));
    let limit = limit.unwrap_or(MEMORY_WITHOUT_LIMIT);
    let largest = largest_block(limit);
    let default = defaults.ingest.batch.max_bytes.unsigned_abs();
    let max_bytes =
        ingest.batch.max_bytes.map_or_else(|| default.min(largest.max(SMALLEST_BLOCK)), i64::unsigned_abs);
    if max_bytes > largest {
        let needed = BASE_MEMORY.saturating_add(max_bytes.saturating_mul(BLOCKS_IN_MEMORY));
        let mebibytes = needed.div_ceil(1 << 20);
        let message = format!(
            "blocks of {max_bytes} bytes need {mebibytes}Mi; write so much, or a smaller batch.maxBytes"
        );
        found.push(Violation::new(format!("{path}.limits.memory"), message));
    }
    let (Some(within), true) = (within, found.is_empty()) else { return Err(found) };
    Ok(IngestSettings {
        plan: plan::Ingest {
            delivery: ingest.delivery,
            max_rows,
            max_bytes,
            flush_delay_ms: milliseconds(flush_delay(within)),
            memory_limit_bytes: counted_memory(limit),
            freshness_within_ms: Some(milliseconds(within)),
        },
        replicas: if spec.paused { 0 } else { ingest.replicas },
        resources,
    })
}

pub(super) fn api(api: &Api, defaults: &ApiDefaults) -> Result<ApiSettings, Vec<Violation>> {
    let mut found = Vec::new();
    let resources = merge("spec.api.resources", api.resources.as_ref(), &defaults.resources, &mut found);
    if !found.is_empty() {
        return Err(found);
    }
    let aliases = api.aliases.iter();
    Ok(ApiSettings {
        plan: plan::Api {
            key: api.key.clone(),
            auth: match api.auth.mode {
                AuthMode::None => plan::Auth::None,
            },
            aliases: aliases
                .map(|alias| plan::Alias {
                    path: alias.path.clone(),
                    limit: alias.limit.map(i64::unsigned_abs),
                })
                .collect(),
        },
        replicas: api.replicas,
        resources,
    })
}

/// The pipeline's amounts over the fleet's; a request above its limit would be
/// refused by Kubernetes only when the pods are made.
fn merge(
    path: &str,
    wanted: Option<&Resources>,
    defaults: &Resources,
    found: &mut Vec<Violation>,
) -> Resources {
    let merged = wanted.map_or_else(|| defaults.clone(), |wanted| wanted.or(defaults));
    let pairs = [
        ("cpu", &merged.requests.cpu, &merged.limits.cpu),
        ("memory", &merged.requests.memory, &merged.limits.memory),
    ];
    for (name, request, limit) in pairs {
        let parse = |amount: &crate::resource::Amount| quantity::milli(amount.as_str());
        for amount in [request, limit].into_iter().flatten().filter(|amount| parse(amount).is_none()) {
            let message = format!("{:?} is no quantity; write one like 250m or 256Mi", amount.as_str());
            found.push(Violation::new(format!("{path}.*.{name}"), message));
        }
        let (Some(request), Some(limit)) = (request, limit) else { continue };
        if parse(request) > parse(limit) {
            let message = format!(
                "the request of {} ({}) is above the limit ({}); where one of them is not in the pipeline it is the \
                 fleet's default: write both",
                name,
                request.as_str(),
                limit.as_str()
            );
            found.push(Violation::new(path, message));
        }
    }
    merged
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
