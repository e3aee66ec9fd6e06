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
        let worker = Worker { sink: sink.clone(), metrics: metrics.clone(), events: events.clone() };
        let inserts = inserts.clone();
        tokio::spawn(async move {
            match job {
                Job::Prepare { epoch, membership, asked } => worker.prepare(epoch, &membership, &asked).await,
                Job::Record { epoch, membership, rows } => worker.record(epoch, &membership, rows).await,
                job @ Job::Store { .. } => {
                    // Closed only with the runtime.
                    let Ok(_turn) = inserts.acquire().await else { return };
                    worker.store(job).await;
                }
            }
        });
    }
}

struct Worker {
    sink: Arc<Sink>,
    metrics: Arc<Metrics>,
    events: Events,
}

impl Worker {
    async fn prepare(&self, epoch: usize, membership: &Lease, asked: &[Asked]) {
        let mut backoff = Backoff::default();
        loop {
            match self.facts(asked).await {
                Ok((facts, known)) => return self.events.send(epoch, Event::Prepared { facts, known }),
                Err(error) => self.failed(epoch, None, false, &error),
            }
            if membership.sleep(backoff.next()).await.is_err() {
                return;
            }
        }
    }

    async fn facts(&self, asked: &[Asked]) -> Result<(TableFacts, Vec<Known>), SinkError> {
        let mut connection = self.sink.server.connect().await?;
        let facts = self.sink.check_table(&mut connection).await?;
        let known = self.sink.look_up(&mut connection, asked).await?;
        self.sink.server.keep(connection);
        Ok((facts, known))
    }

    async fn store(&self, job: Job) {
        let Job::Store { epoch, partition, block, promise, settle, lease, facts } = job else { return };
        let store =
            Store { sink: &self.sink, facts: &facts, lease: &lease, partition, block: &block, promise };
        let mut refusals = Refusals::default();
        let stored = store.run(settle, |report| match report {
            Report::Inserted(time) => self.metrics.inserted(time.as_secs_f64()),
            Report::Resent => self.metrics.resent(),
            Report::Recovered => self.events.send(epoch, Event::Recovered { partition: Some(partition) }),
            Report::Failed(error) => self.failed(epoch, Some(partition), refusals.count(&error), &error),
        });
        let stored = stored.await;
        // Whoever gets the answer recycles the block's buffers.
        drop(block);
        match stored {
            Stored::Done(outcome) => self.events.send(epoch, Event::Stored { partition, outcome }),
            Stored::TokenSpent => self.events.send(epoch, Event::TokenSpent { partition }),
            Stored::Revoked => {}
        }
    }

    async fn record(&self, epoch: usize, membership: &Lease, rows: Vec<(LedgerRow, Arc<Lease>)>) {
        let mut backoff = Backoff::default();
        let mut failures = 0;
        let (rows, leases): (Vec<LedgerRow>, Vec<Arc<Lease>>) = rows.into_iter().unzip();
        while let Err(error) = self.write(&rows, &leases, membership).await {
            let Some(error) = error else { return };
            self.failed(epoch, None, false, &error);
            failures += 1;
            if membership.sleep(backoff.next()).await.is_err() {
                return;
            }
        }
        if failures > 0 {
            self.events.send(epoch, Event::Recovered { partition: None });
        }
        let rows = rows.iter().map(|row| (row.partition, row.opening())).collect();
        self.events.send(epoch, Event::Recorded { rows });
    }

    /// Writes on a connection that was open while all leases held. Opening rows
    /// need none: they replace nothing. `None` as error: revoked.
    async fn write(
        &self,
        rows: &[LedgerRow],
        leases: &[Arc<Lease>],
        membership: &Lease,
    ) -> Result<(), Option<SinkError>> {
        let needed = || rows.iter().zip(leases).filter(|(row, _)| !row.opening()).map(|(_, lease)| lease);
        let mut connection = loop {
            let connection = self.sink.server.connect().await.map_err(Some)?;
            if needed().all(|lease| lease.holds()) {
                break connection;
            }
            drop(connection);
            for lease in needed() {
                lease.held().await.map_err(|_| None)?;
            }
        };
        if membership.revoked() {
            return Err(None);
        }
        self.sink.write_ledger(&mut connection, rows, now_ms()).await.map_err(Some)?;
        self.sink.server.keep(connection);
        Ok(())
    }

    fn failed(&self, epoch: usize, partition: Option<i32>, refused: bool, error: &SinkError) {
        tracing::warn!(partition, class = error.class.name(), "{error}");
        let message = error.to_string();
        self.events.send(epoch, Event::Failed { partition, class: error.class, refused, message });
    }
}
