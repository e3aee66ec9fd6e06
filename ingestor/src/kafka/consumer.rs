//! A group member whose every step is the caller's: rebalances are handed out
//! and wait for an answer, each partition has its own queue, and commits are
//! answered partition by partition.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::thread::Thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka_sys as sys;

use super::list::{self, Committed, List, Position};
use super::message::Batch;
use super::{Code, KafkaError};

/// What the group wants; the consumer stands still until it is answered by
/// [`Consumer::assign`] or [`Consumer::unassign`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    Assigned(Vec<i32>),
    /// Give everything back. `lost`: it is somebody else's already.
    Revoked {
        lost: bool,
    },
}

/// A commit's answer.
#[derive(Clone, Debug)]
pub struct CommitAnswer {
    /// Of the request as a whole: success unless *all* partitions failed.
    pub code: Code,
    /// Each partition's own.
    pub partitions: Vec<(i32, Code)>,
}

pub struct Consumer {
    client: *mut sys::rd_kafka_t,
    queue: *mut sys::rd_kafka_queue_t,
    commits: *mut sys::rd_kafka_queue_t,
    /// Answers about the topic.
    topic: CString,
    shared: Box<Shared>,
    batch: Batch,
}

/// What callbacks may touch. `rebalances` and `errors` only from the thread that
/// polls; `wake` from any.
struct Shared {
    rebalances: RefCell<Vec<Rebalance>>,
    errors: RefCell<Vec<(Code, String)>>,
    /// Nobody will answer rebalances any more.
    closing: Cell<bool>,
    wake: Thread,
}

impl Consumer {
    /// `wake` is unparked whenever one of the queues has something new.
    pub fn new(config: &ClientConfig, topic: &str, wake: Thread) -> anyhow::Result<Self> {
        let shared = Box::new(Shared {
            rebalances: RefCell::default(),
            errors: RefCell::default(),
            closing: Cell::new(false),
            wake,
        });
        let opaque = ptr::from_ref::<Shared>(&shared).cast_mut().cast::<c_void>();
        let native = config.create_native_config()?;
        let mut text = [0 as c_char; 512];
        // SAFETY: the duplicate belongs to the client once that is created, and
        // `opaque` lives as long as the client: both are dropped together.
        let client = unsafe {
            let conf = sys::rd_kafka_conf_dup(native.ptr());
            sys::rd_kafka_conf_set_opaque(conf, opaque);
            sys::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance));
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            sys::rd_kafka_conf_set_error_cb(conf, Some(on_error));
            let kind = sys::rd_kafka_type_t::RD_KAFKA_CONSUMER;
            let client = sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len());
            if client.is_null() {
                sys::rd_kafka_conf_destroy(conf);
                let text = CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned();
                anyhow::bail!("create the Kafka consumer: {text}");
            }
            sys::rd_kafka_poll_set_consumer(client);
            client
        };
        // SAFETY: `client` is valid; the queues are given back in `drop`.
        let (queue, commits) =
            unsafe { (sys::rd_kafka_queue_get_consumer(client), sys::rd_kafka_queue_new(client)) };
        for queue in [queue, commits] {
            // SAFETY: the callback only unparks a thread.
            unsafe { sys::rd_kafka_queue_cb_event_enable(queue, Some(on_event), opaque) };
        }
        let topic = CString::new(topic)?;
        Ok(Self { client, queue, commits, topic, shared, batch: Batch::with_capacity(16) })
    }

    pub(super) fn client(&self) -> *mut sys::rd_kafka_t {
        self.client
    }

    pub fn topic(&self) -> &CStr {
        &self.topic
    }

    pub fn subscribe(&self) -> Result<(), KafkaError> {
        let list = List::of_topic(&self.topic);
        // SAFETY: copies the list.
        KafkaError::check(unsafe { sys::rd_kafka_subscribe(self.client, list.ptr()) })
    }

    /// Serves the group: keeps the membership alive and returns what the group
    /// wants, and errors that belong to no partition.
    pub fn poll(&mut self) -> (Vec<Rebalance>, Vec<(Code, String)>) {
        // SAFETY: our own queue.
        unsafe { self.batch.fill(self.queue) };
        let mut errors = self.shared.errors.take();
        while let Some(message) = self.batch.peek() {
            errors.push((message.code(), message.error_text()));
            self.batch.advance();
        }
        (self.shared.rebalances.take(), errors)
    }

    /// Reads these partitions from now on, and no others.
    pub fn assign(&self, assignment: &[Position]) -> Result<(), KafkaError> {
        let list = List::of_positions(&self.topic, assignment);
        // SAFETY: copies the list.
        KafkaError::check(unsafe { sys::rd_kafka_assign(self.client, list.ptr()) })
    }

    /// Gives everything back to the group.
    pub fn unassign(&self) -> Result<(), KafkaError> {
        // SAFETY: null means no partition.
        KafkaError::check(unsafe { sys::rd_kafka_assign(self.client, ptr::null()) })
    }

    /// The partition's own queue. Take it before assigning the partition.
    pub fn partition_queue(&self, partition: i32) -> PartitionQueue {
        // SAFETY: the queue is given back when dropped; a forward to null keeps
        // its messages out of the consumer's queue.
        unsafe {
            let queue = sys::rd_kafka_queue_get_partition(self.client, self.topic.as_ptr(), partition);
            if !queue.is_null() {
                sys::rd_kafka_queue_forward(queue, ptr::null_mut());
                let opaque = ptr::from_ref::<Shared>(&self.shared).cast_mut().cast::<c_void>();
                sys::rd_kafka_queue_cb_event_enable(queue, Some(on_event), opaque);
            }
            PartitionQueue(queue)
        }
    }

    /// Sends one commit; its answer comes from [`Consumer::commit_answer`].
    pub fn commit(&self, positions: &[Position]) -> Result<(), KafkaError> {
        let list = List::of_positions(&self.topic, positions);
        // SAFETY: copies the list; without a callback the answer is an event.
        KafkaError::check(unsafe {
            sys::rd_kafka_commit_queue(self.client, list.ptr(), self.commits, None, ptr::null_mut())
        })
    }

    /// The answer to the last commit, if it is there.
    pub fn commit_answer(&self) -> Option<CommitAnswer> {
        // SAFETY: the event is read before it is destroyed.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.commits, 0);
            if event.is_null() {
                return None;
            }
            let list = sys::rd_kafka_event_topic_partition_list(event);
            let partitions = if list.is_null() {
                Vec::new()
            } else {
                list::elements(list).iter().map(|one| (one.partition, one.err)).collect()
            };
            let answer = CommitAnswer { code: sys::rd_kafka_event_error(event), partitions };
            sys::rd_kafka_event_destroy(event);
            Some(answer)
        }
    }

    /// What the group has committed for these partitions.
    pub fn committed(&self, partitions: &[i32], timeout: Duration) -> Result<Vec<Committed>, KafkaError> {
        let list = List::new();
        for partition in partitions {
            list.add(&self.topic, *partition);
        }
        // SAFETY: fills our list.
        let code = unsafe { sys::rd_kafka_committed(self.client, list.ptr(), millis(timeout)) };
        KafkaError::check(code)?;
        let committed = list.committed();
        committed.iter().try_for_each(|one| KafkaError::check(one.error))?;
        Ok(committed)
    }

    /// Offsets of the first message kept and of the next one to come, asked of
    /// the broker.
    pub fn ends(&self, partition: i32, timeout: Duration) -> Result<(i64, i64), KafkaError> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: writes two integers.
        let code = unsafe {
            let topic = self.topic.as_ptr();
            let timeout = millis(timeout);
            sys::rd_kafka_query_watermark_offsets(
                self.client,
                topic,
                partition,
                &raw mut low,
                &raw mut high,
                timeout,
            )
        };
        KafkaError::check(code).map(|()| (low, high))
    }

    /// As the last fetch told: low and high watermark, −1001 when unknown.
    pub fn known_ends(&self, partition: i32) -> Option<(i64, i64)> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: writes two integers.
        let code = unsafe {
            let topic = self.topic.as_ptr();
            sys::rd_kafka_get_watermark_offsets(self.client, topic, partition, &raw mut low, &raw mut high)
        };
        (KafkaError::check(code).is_ok() && high >= 0).then_some((low.max(0), high))
    }

    /// The first offset at or after `timestamp_ms`; `None` when all are older.
    pub fn offset_at(
        &self,
        partition: i32,
        timestamp_ms: i64,
        timeout: Duration,
    ) -> Result<Option<i64>, KafkaError> {
        let list = List::new();
        list.add(&self.topic, partition).offset = timestamp_ms;
        // SAFETY: fills our list.
        let code = unsafe { sys::rd_kafka_offsets_for_times(self.client, list.ptr(), millis(timeout)) };
        KafkaError::check(code)?;
        let element = &list.elements()[0];
        KafkaError::check(element.err)?;
        Ok((element.offset >= 0).then_some(element.offset))
    }

    /// Leaves the group.
    pub fn close(&self) {
        self.shared.closing.set(true);
        // SAFETY: serves the consumer queue itself, our callback included.
        unsafe { sys::rd_kafka_consumer_close(self.client) };
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.batch.clear();
        // Without closing: a consumer that is dropped unclosed must not commit
        // or wait for anything any more.
        // SAFETY: queues first, then the client, each once.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.commits);
            sys::rd_kafka_queue_destroy(self.queue);
            sys::rd_kafka_destroy_flags(self.client, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// One partition's messages. Dropped before its consumer.
pub struct PartitionQueue(*mut sys::rd_kafka_queue_t);

impl PartitionQueue {
    /// Fills `batch` with what is there, without waiting.
    pub fn read(&self, batch: &mut Batch) {
        if self.0.is_null() {
            batch.clear();
        } else {
            // SAFETY: valid until dropped.
            unsafe { batch.fill(self.0) }
        }
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: given back once.
            unsafe {
                sys::rd_kafka_queue_cb_event_enable(self.0, None, ptr::null_mut());
                sys::rd_kafka_queue_destroy(self.0);
            }
        }
    }
}

pub(super) fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

unsafe extern "C" fn on_event(_client: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the consumer's `Shared`, alive as long as the client.
    unsafe { &*opaque.cast::<Shared>() }.wake.unpark();
}

/// A refused login is told here only; elsewhere it looks like a lost connection.
/// One broker's lost connection means nothing while others are there.
unsafe extern "C" fn on_error(
    _client: *mut sys::rd_kafka_t,
    code: i32,
    text: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: as above; called from `poll` on the polling thread.
    let shared = unsafe { &*opaque.cast::<Shared>() };
    let decisive = [Code::RD_KAFKA_RESP_ERR__AUTHENTICATION, Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN];
    if let Some(code) = decisive.into_iter().find(|decisive| *decisive as i32 == code) {
        // SAFETY: a C string, valid during the callback.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        shared.errors.borrow_mut().push((code, text));
    }
}

unsafe extern "C" fn on_rebalance(
    client: *mut sys::rd_kafka_t,
    code: Code,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: as above; called from `poll` and `close` on the polling thread.
    let shared = unsafe { &*opaque.cast::<Shared>() };
    if shared.closing.get() {
        // SAFETY: null means no partition.
        unsafe { sys::rd_kafka_assign(client, ptr::null()) };
        return;
    }
    let rebalance = if code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        // SAFETY: the list is valid during the callback.
        let partitions = unsafe { list::elements(partitions) };
        Rebalance::Assigned(partitions.iter().map(|one| one.partition).collect())
    } else {
        // SAFETY: asks the client a question.
        Rebalance::Revoked { lost: unsafe { sys::rd_kafka_assignment_lost(client) } != 0 }
    };
    shared.rebalances.borrow_mut().push(rebalance);
}

pub(super) unsafe extern "C" fn on_log(
    _client: *const sys::rd_kafka_t,
    level: i32,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: C strings, valid during the callback.
    let (facility, text) = unsafe { (CStr::from_ptr(facility), CStr::from_ptr(text)) };
    let (facility, text) = (facility.to_string_lossy(), text.to_string_lossy());
    match level {
        // Lost connections come again and again during an outage; what they
        // mean is reported once, by whoever is held up.
        _ if matches!(&*facility, "FAIL" | "ERROR") => tracing::debug!(%facility, "librdkafka: {text}"),
        0..=4 => tracing::warn!(%facility, "librdkafka: {text}"),
        _ => tracing::debug!(%facility, "librdkafka: {text}"),
    }
}
