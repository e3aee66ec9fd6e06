//! Jobs of the source thread → requests to ClickHouse → events back.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::metrics::Metrics;
use crate::sink::{
    Asked, Backoff, Known, Lease, LedgerRow, Refusals, Report, Sink, SinkError, Store, Stored, TableFacts,
};
use crate::source::{Event, Events, Job};
use crate::state::now_ms;

/// Blocks sent at the same time: enough to keep the server busy while answers
/// travel, few enough to leave it alone with its merges.
const CONCURRENT_INSERTS: usize = 4;

/// Serves jobs until the source thread is gone.
pub async fn serve(sink: Arc<Sink>, metrics: Arc<Metrics>, mut jobs: UnboundedReceiver<Job>, events: Events) {
    let inserts = Arc::new(Semaphore::new(CONCURRENT_INSERTS));
    while let Some(job) = jobs.recv().await {
        let (sink, metrics, events) = (sink.clone(), metrics.clone(), events.clone());
        let inserts = inserts.clone();
        tokio::spawn(async move {
            match job {
                Job::Prepare { epoch, membership, asked } => {
                    prepare(&sink, &events, epoch, &membership, &asked).await;
                }
                Job::Store { epoch, partition, block, promise, settle, lease, facts } => {
                    let Ok(_turn) = inserts.acquire().await else { return };
                    let store = Store {
                        sink: &sink,
                        facts: &facts,
                        lease: &lease,
                        partition,
                        block: &block,
                        promise,
                    };
                    let mut refusals = Refusals::default();
                    let stored = store.run(settle, |report| match report {
                        Report::Inserted(time) => metrics.inserted(time.as_secs_f64()),
                        Report::Failed(error) => {
                            let refused = refusals.count(&error);
                            events.send(failed(epoch, Some(partition), refused, &error));
                        }
                        Report::Resent => metrics.resent(),
                        Report::Recovered => {
                            events.send(Event::Recovered { epoch, partition: Some(partition) });
                        }
                    });
                    let stored = stored.await;
                    drop(block);
                    match stored {
                        Stored::Done(outcome) => events.send(Event::Stored { epoch, partition, outcome }),
                        Stored::GaveUp => events.send(Event::GaveUp { epoch, partition }),
                        Stored::Revoked => {}
                    }
                }
                Job::Record { epoch, membership, rows } => {
                    record(&sink, &events, epoch, &membership, &rows).await;
                }
            }
        });
    }
}

fn failed(epoch: usize, partition: Option<i32>, refused: bool, error: &SinkError) -> Event {
    tracing::warn!(partition, class = error.class.name(), "{error}");
    Event::Failed { epoch, partition, class: error.class, refused, message: error.to_string() }
}

async fn prepare(sink: &Sink, events: &Events, epoch: usize, membership: &Lease, asked: &[Asked]) {
    let mut backoff = Backoff::default();
    loop {
        match facts(sink, asked).await {
            Ok((facts, known)) => return events.send(Event::Prepared { epoch, facts, known }),
            Err(error) => events.send(failed(epoch, None, false, &error)),
        }
        if membership.revoked() {
            return;
        }
        backoff.sleep().await;
    }
}

async fn facts(sink: &Sink, asked: &[Asked]) -> Result<(TableFacts, Vec<Known>), SinkError> {
    Ok((sink.check_table().await?, sink.look_up(asked).await?))
}

async fn record(sink: &Sink, events: &Events, epoch: usize, membership: &Lease, rows: &[LedgerRow]) {
    let mut backoff = Backoff::default();
    let mut failures = 0;
    loop {
        match sink.write_ledger(rows, now_ms()).await {
            Ok(()) => break,
            Err(error) => events.send(failed(epoch, None, false, &error)),
        }
        failures += 1;
        if membership.revoked() {
            return;
        }
        backoff.sleep().await;
    }
    if failures > 0 {
        events.send(Event::Recovered { epoch, partition: None });
    }
    events.send(Event::Recorded { epoch, partitions: rows.iter().map(|row| row.partition).collect() });
}
