//! Plan and credentials → a running ingestor, until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use anyhow::{Context as _, bail};
use axum::routing::get;
use axum::{Json, Router};
use caudal_model::Plan;
use caudal_model::state::IngestorState;
use caudal_service::{Credentials, admin, shutdown};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::content::{Content, Contents};
use crate::metrics::Metrics;
use crate::protocol::Identity;
use crate::sink::{Server, Sink};
use crate::source::{self, Context, Events};
use crate::worker;

/// Where things are.
pub struct Options {
    pub plan: PathBuf,
    /// Older plans.
    pub plans: Option<PathBuf>,
    pub credentials: Option<PathBuf>,
    pub admin_address: SocketAddr,
}

/// More rows would not become one part (rule 2).
const MAX_ROWS: u64 = 1_048_448;
const MAX_BYTES: u64 = 256 << 20;

/// Below so much, every buffer that the allocator keeps is missed.
pub const LITTLE_MEMORY: u64 = 160 << 20;

/// Lets glibc take large buffers from the system and give them back at once,
/// whatever was freed before: by itself it comes to keep those of up to 32 MiB.
/// Costs a tenth of the CPU time, so only where memory is short.
#[cfg(target_env = "gnu")]
fn return_memory() {
    // SAFETY: settings of the allocator, which it takes at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

#[cfg(not(target_env = "gnu"))]
fn return_memory() {}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let path = options.plan.display().to_string();
    let text = std::fs::read_to_string(&options.plan).with_context(|| format!("read the plan {path}"))?;
    let plan = Plan::from_json(&text).with_context(|| format!("use the plan {path}"))?.for_ingestor();
    let credentials = match &options.credentials {
        Some(directory) => Credentials::read(directory)?,
        None => Credentials::default(),
    };
    let Some(ingest) = plan.ingest.clone() else { bail!("the plan {path} has no part `ingest`") };
    if !(1..=MAX_ROWS).contains(&ingest.max_rows) || !(1..=MAX_BYTES).contains(&ingest.max_bytes) {
        bail!("the plan's batch must have 1 to {MAX_ROWS} rows and 1 to {MAX_BYTES} bytes");
    }
    if ingest.memory_limit_bytes < LITTLE_MEMORY {
        return_memory();
    }
    let current = Content::new(&plan).with_context(|| format!("use the plan {path}"))?;
    let contents = Contents::new(current, options.plans.as_deref())?;
    let revision = contents.current().origin.plan.clone();
    tracing::info!(
        version = caudal_service::VERSION, pipeline = %format!("{}/{}", plan.pipeline.namespace, plan.pipeline.name),
        revision = %revision, topic = plan.source.topic, "starting"
    );

    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry, &plan.pipeline, &ingest));
    let authorities = credentials.clickhouse_ca.as_deref();
    let server = Server::new(&plan.sink.connection.url, credentials.clickhouse.clone(), authorities)?;
    let sink = Arc::new(Sink::new(&plan, server));
    let stop = shutdown::on_signal()?;
    let state = Arc::new(Mutex::new(IngestorState {
        plan_revision: revision,
        delivery: ingest.delivery,
        joined: false,
        trouble: None,
        partitions: Vec::new(),
    }));

    let (jobs, queue) = tokio::sync::mpsc::unbounded_channel();
    let (sender, events) = mpsc::channel();
    let stopping = Arc::new(AtomicBool::new(false));
    let context = Context {
        identity: Identity {
            topic_id: plan.source.topic_id.clone(),
            pipeline: format!("{}/{}", plan.pipeline.namespace, plan.pipeline.name),
            table_uuid: plan.sink.table_uuid.clone(),
        },
        source: plan.source.source_id(),
        contents,
        ingest,
        credentials,
        jobs,
        events,
        state: state.clone(),
        metrics: metrics.clone(),
        shutdown: stopping.clone(),
        counter: AtomicUsize::new(1),
        partitions: AtomicI32::new(0),
        plan,
    };
    let (done, ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("source".to_owned())
        .spawn(move || {
            let _ = done.send(source::run(&context));
        })
        .context("start the source thread")?;
    let events = Events::new(sender, thread.thread().clone());
    tokio::spawn(worker::serve(sink, metrics, queue, events));
    let admin_stop = CancellationToken::new();
    let admin = tokio::spawn(serve_admin(options.admin_address, registry, state, admin_stop.clone()));

    let mut ended = ended;
    let result = tokio::select! {
        ended = &mut ended => ended,
        admin = admin => {
            admin.context("run the admin port")??;
            bail!("the admin port ended");
        }
        () = stop.cancelled() => {
            stopping.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            ended.await
        }
    };
    admin_stop.cancel();
    result.context("the source thread died")??;
    tracing::info!("stopped");
    Ok(())
}

async fn serve_admin(
    address: SocketAddr,
    registry: Registry,
    state: Arc<Mutex<IngestorState>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let shown = state.clone();
    let extra = Router::new().route("/state", get(async move || Json(current(&shown))));
    let ready: admin::Readiness = Arc::new(move || {
        if current(&state).joined { Ok(()) } else { Err("not a member of the consumer group yet".to_owned()) }
    });
    admin::serve(address, Arc::new(registry), ready, extra, stop).await
}

fn current(state: &Mutex<IngestorState>) -> IngestorState {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}
