//! Jobs of the source thread → requests to ClickHouse → events back.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::metrics::Metrics;
use crate::protocol::Outcome;
use crate::sink::{
    Asked, Backoff, Form, Known, Lease, LedgerRow, Refusals, Report, Sink, SinkError, Store, Stored,
};
use crate::source::{Event, Events, Job, Unrecorded, Unsent};
use crate::state::now_ms;

/// Serves jobs until the source thread is gone.
pub async fn serve(sink: Arc<Sink>, metrics: Arc<Metrics>, mut jobs: UnboundedReceiver<Job>, events: Events) {
    while let Some(job) = jobs.recv().await {
        let worker = Worker { sink: sink.clone(), metrics: metrics.clone(), events: events.clone() };
        tokio::spawn(async move {
            match job {
                Job::Prepare { epoch, membership, form, asked, share: (owned, all) } => {
                    worker.sink.window.share(owned, all);
                    worker.prepare(epoch, &membership, &form, &asked).await;
                }
                Job::Send { epoch, membership, blocks } => worker.send(epoch, membership, blocks).await,
                Job::Record { epoch, membership, rows } => worker.record(epoch, &membership, rows).await,
                job @ Job::Store { .. } => worker.store(job).await,
            }
        });
    }
}

#[derive(Clone)]
struct Worker {
    sink: Arc<Sink>,
    metrics: Arc<Metrics>,
    events: Events,
}

impl Worker {
    async fn prepare(&self, epoch: usize, membership: &Lease, form: &Form, asked: &[Asked]) {
        let mut backoff = Backoff::default();
        loop {
            match self.known(form, asked).await {
                Ok(known) => return self.events.send(epoch, Event::Prepared { known }),
                Err(error) => self.failed(epoch, &[None], false, &error),
            }
            if membership.sleep(backoff.next()).await.is_err() {
                return;
            }
        }
    }

    async fn known(&self, form: &Form, asked: &[Asked]) -> Result<Vec<Known>, SinkError> {
        let mut connection = self.sink.server.connect().await?;
        self.sink.check_table(&mut connection, form).await?;
        let known = self.sink.look_up(&mut connection, asked).await?;
        self.sink.server.keep(connection);
        Ok(known)
    }

    async fn store(&self, job: Job) {
        let Job::Store { epoch, partition, block, form, promise, settle, effort, lease } = job else {
            return;
        };
        let (sink, form) = (&*self.sink, &*form);
        let store = Store { sink, form, lease: &lease, partition, block: &block, promise, effort };
        let mut refusals = Refusals::default();
        let stored = store.run(settle, |report| match report {
            Report::Inserted(time) => self.metrics.inserted(time.as_secs_f64()),
            Report::Resent => self.metrics.resent(),
            Report::Held(message) => {
                self.metrics.held();
                self.events.send(epoch, Event::Held { partition, message });
            }
            Report::Recovered => self.events.send(epoch, Event::Recovered { partition: Some(partition) }),
            Report::Failed(error) => {
                self.failed(epoch, &[Some(partition)], refusals.count(&error), &error);
            }
        });
        let stored = stored.await;
        // Whoever gets the answer recycles the block's buffers.
        drop(block);
        match stored {
            Stored::Done(outcome) => self.events.send(epoch, Event::Stored { partition, outcome }),
            Stored::Refused(message) => self.events.send(epoch, Event::Refused { partition, message }),
            Stored::TokenSpent => self.events.send(epoch, Event::TokenSpent { partition }),
            Stored::Revoked => {}
        }
    }

    /// Blocks that are refused together go on alone, so that none holds up the
    /// others.
    async fn send(self, epoch: usize, membership: Arc<Lease>, blocks: Vec<Unsent>) {
        let Err(blocks) = self.send_until_clean(epoch, &membership, blocks).await else { return };
        for block in blocks {
            let (worker, membership) = (self.clone(), membership.clone());
            tokio::spawn(async move { worker.send_until_clean(epoch, &membership, vec![block]).await });
        }
    }

    /// Gives several blocks back that are refused again and again.
    async fn send_until_clean(
        &self,
        epoch: usize,
        membership: &Lease,
        blocks: Vec<Unsent>,
    ) -> Result<(), Vec<Unsent>> {
        let partitions: Vec<_> = blocks.iter().map(|one| Some(one.partition)).collect();
        let mut backoff = Backoff::default();
        let mut refusals = Refusals::default();
        let mut of_values = 0;
        let mut outcome = Outcome::Clean;
        while !membership.revoked() {
            let started = Instant::now();
            let Err(error) = self.sink.send(&blocks, outcome == Outcome::Repeated).await else {
                self.metrics.inserted(started.elapsed().as_secs_f64());
                // Whoever gets the answer recycles the blocks' buffers.
                drop(blocks);
                for partition in partitions.into_iter().flatten() {
                    self.events.send(epoch, Event::Stored { partition, outcome });
                }
                return Ok(());
            };
            let refused = refusals.count(&error);
            self.failed(epoch, &partitions, refused, &error);
            of_values += u32::from(error.refuses_values());
            match &blocks[..] {
                [Unsent { partition, attempts: Some(attempts), .. }]
                    if error.refuses_values() && of_values >= *attempts =>
                {
                    let event = Event::Refused { partition: *partition, message: error.message };
                    self.events.send(epoch, event);
                    return Ok(());
                }
                [_, _, ..] if refused => return Err(blocks),
                _ => {}
            }
            if membership.sleep(backoff.next()).await.is_ok() {
                self.metrics.resent();
            }
            outcome = Outcome::Repeated;
        }
        Ok(())
    }

    async fn record(&self, epoch: usize, membership: &Lease, rows: Vec<Unrecorded>) {
        let mut backoff = Backoff::default();
        let mut failures = 0;
        while !membership.revoked() {
            match self.write(&rows).await {
                Ok(written) => {
                    if failures > 0 {
                        self.events.send(epoch, Event::Recovered { partition: None });
                    }
                    return self.events.send(epoch, Event::Recorded { rows, written });
                }
                Err(error) => self.failed(epoch, &[None], false, &error),
            }
            failures += 1;
            if membership.sleep(backoff.next()).await.is_err() {
                return;
            }
        }
    }

    /// Writes the rows whose lease holds while the connection is open, and says
    /// which those are. Opening rows need none: they replace nothing.
    async fn write(&self, rows: &[Unrecorded]) -> Result<Vec<bool>, SinkError> {
        let mut connection = self.sink.server.connect().await?;
        let written: Vec<bool> = rows.iter().map(|one| one.row.opening() || one.lease.holds()).collect();
        let now: Vec<&LedgerRow> =
            rows.iter().zip(&written).filter(|(_, now)| **now).map(|(one, _)| &one.row).collect();
        if !now.is_empty() {
            self.sink.write_ledger(&mut connection, &now, now_ms()).await?;
        }
        self.sink.server.keep(connection);
        Ok(written)
    }

    /// For these partitions, or for all.
    fn failed(&self, epoch: usize, partitions: &[Option<i32>], refused: bool, error: &SinkError) {
        tracing::warn!(?partitions, class = error.class.name(), "{error}");
        self.metrics.failed(error.class);
        for partition in partitions {
            let message = error.to_string();
            let event = Event::Failed { partition: *partition, class: error.class, refused, message };
            self.events.send(epoch, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::content::tests::{ID, plan};
    use crate::sink::Server;
    use crate::sink::fake::{Asked, Fake};

    #[test]
    fn a_partition_without_its_lease_does_not_hold_up_the_ledger_of_others() {
        let fake = Fake::start(|_, _| String::new());
        let plan = plan(ID, 100);
        let server = Server::new(&fake.url, None, None).unwrap();
        let metrics = Metrics::new(&mut Registry::default(), &plan.pipeline, plan.ingest.as_ref().unwrap());
        let (sender, events) = mpsc::channel();
        let worker = Worker {
            sink: Arc::new(Sink::new(&plan, server)),
            metrics: Arc::new(metrics),
            events: Events::new(sender, std::thread::current()),
        };
        let row = |partition, lease: &Arc<Lease>| Unrecorded {
            row: LedgerRow { next: 9, outcome: Outcome::Clean, ..LedgerRow::opened(partition, 0, "p") },
            lease: lease.clone(),
        };
        let (ours, doubtful) = (Arc::new(Lease::default()), Arc::new(Lease::default()));
        ours.renew(Instant::now(), Duration::from_mins(1));
        let rows = vec![row(0, &doubtful), row(1, &ours)];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(worker.record(3, &Lease::default(), rows));
        let (epoch, event) = events.try_recv().unwrap();
        let Event::Recorded { rows, written } = event else { panic!("not recorded") };
        assert_eq!((epoch, rows.len(), written), (3, 2, vec![false, true]));
        let sent = fake.bodies(Asked::Ledger);
        let sent = String::from_utf8_lossy(&sent[0]);
        assert!(sent.lines().count() == 1 && sent.contains("\"partition\":1"), "{sent}");
    }
}
