//! What rust-rdkafka lacks: topic ids (DescribeTopics), changes of single topic
//! settings (IncrementalAlterConfigs), and the errors of a client that only
//! administers. The only unsafe code of this crate.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::{RDKafka, RDKafkaErrorCode};
use rdkafka_sys as sys;

/// A topic as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Base64url, 22 characters, as Kafka's own tools print it.
    pub topic_id: String,
    pub partitions: i32,
    /// Copies of the first partition.
    pub replication_factor: i32,
}

/// A pointer that librdkafka gave us to destroy.
struct Owned<T> {
    pointer: *mut T,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// `None` for null.
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!pointer.is_null()).then_some(Self { pointer, destroy })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `pointer` is not null, came from the constructor that belongs
        // to `destroy`, and nobody else destroys it.
        unsafe { (self.destroy)(self.pointer) }
    }
}

/// Asks the cluster for one topic; `None` when there is none of that name.
/// Blocks up to `timeout`. Never creates the topic.
pub fn describe_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<TopicDescription>, RDKafkaErrorCode> {
    let name = c_string(topic)?;
    let mut names = [name.as_ptr()];
    // SAFETY: `names` holds one valid C string, which librdkafka copies; the
    // collection is destroyed after the request that uses it.
    let event = unsafe {
        let topics = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )
        .ok_or(RDKafkaErrorCode::InvalidArgument)?;
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        ask(client.native_ptr(), operation, timeout, |client, options, queue| {
            sys::rd_kafka_DescribeTopics(client, topics.pointer, options, queue);
        })?
    };
    read(&event)
}

/// Sets some of a topic's settings and leaves the others. Blocks up to
/// `timeout`.
pub fn alter_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    config: &BTreeMap<String, String>,
    timeout: Duration,
) -> Result<(), RDKafkaErrorCode> {
    let name = c_string(topic)?;
    // SAFETY: all strings are valid C strings, which librdkafka copies; the
    // resource is destroyed after the request that uses it, and what the event
    // holds is read while it lives.
    unsafe {
        let resource_type = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        let resource = Owned::new(
            sys::rd_kafka_ConfigResource_new(resource_type, name.as_ptr()),
            sys::rd_kafka_ConfigResource_destroy,
        )
        .ok_or(RDKafkaErrorCode::InvalidArgument)?;
        for (key, value) in config {
            let (key, value) = (c_string(key)?, c_string(value)?);
            let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
            let error = sys::rd_kafka_ConfigResource_add_incremental_config(
                resource.pointer,
                key.as_ptr(),
                set,
                value.as_ptr(),
            );
            if let Some(error) = Owned::new(error, sys::rd_kafka_error_destroy) {
                return Err(sys::rd_kafka_error_code(error.pointer).into());
            }
        }
        let mut resources = [resource.pointer];
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
        let event = ask(client.native_ptr(), operation, timeout, |client, options, queue| {
            let count = resources.len();
            sys::rd_kafka_IncrementalAlterConfigs(client, resources.as_mut_ptr(), count, options, queue);
        })?;
        no_error(sys::rd_kafka_event_error(event.pointer).into())?;
        let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(event.pointer);
        if result.is_null() {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        let mut count = 0;
        let altered = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
        if count != 1 || altered.is_null() {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        no_error(sys::rd_kafka_ConfigResource_error(*altered).into())
    }
}

fn c_string(text: &str) -> Result<CString, RDKafkaErrorCode> {
    CString::new(text).map_err(|_| RDKafkaErrorCode::InvalidArgument)
}

/// Sends a request and waits for its answer.
fn ask(
    client: *mut RDKafka,
    operation: sys::rd_kafka_admin_op_t,
    timeout: Duration,
    send: impl FnOnce(*mut RDKafka, *const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
) -> Result<Owned<sys::rd_kafka_event_t>, RDKafkaErrorCode> {
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut detail: [c_char; 256] = [0; 256];
    // SAFETY: `client` lives as long as the `Client` that the caller borrows;
    // every pointer made here is destroyed by its own `Owned`, after the calls
    // that use it.
    unsafe {
        let options =
            Owned::new(sys::rd_kafka_AdminOptions_new(client, operation), sys::rd_kafka_AdminOptions_destroy)
                .ok_or(RDKafkaErrorCode::InvalidArgument)?;
        let set = sys::rd_kafka_AdminOptions_set_request_timeout(
            options.pointer,
            milliseconds,
            detail.as_mut_ptr(),
            detail.len(),
        );
        no_error(set.into())?;
        let queue = Owned::new(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy)
            .ok_or(RDKafkaErrorCode::CriticalSystemResource)?;
        send(client, options.pointer, queue.pointer);
        // The request's own timeout answers first; the margin is for its thread.
        let event = sys::rd_kafka_queue_poll(queue.pointer, milliseconds.saturating_add(1000));
        Owned::new(event, sys::rd_kafka_event_destroy).ok_or(RDKafkaErrorCode::OperationTimedOut)
    }
}

fn read(event: &Owned<sys::rd_kafka_event_t>) -> Result<Option<TopicDescription>, RDKafkaErrorCode> {
    // SAFETY: all pointers read here belong to `event` and are used only while
    // it lives; lengths come from librdkafka.
    unsafe {
        no_error(sys::rd_kafka_event_error(event.pointer).into())?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event.pointer);
        if result.is_null() {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count != 1 || topics.is_null() {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        let topic = *topics;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let code =
            if error.is_null() { RDKafkaErrorCode::NoError } else { sys::rd_kafka_error_code(error).into() };
        if matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) {
            return Ok(None);
        }
        no_error(code)?;
        let mut partitions = 0;
        let first = sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let mut replicas = 0;
        if partitions > 0 && !first.is_null() {
            sys::rd_kafka_TopicPartitionInfo_replicas(*first, &raw mut replicas);
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let text = if id.is_null() { ptr::null() } else { sys::rd_kafka_Uuid_base64str(id) };
        if text.is_null() {
            return Err(RDKafkaErrorCode::UnsupportedVersion);
        }
        let topic_id = CStr::from_ptr(text).to_string_lossy().replace('+', "-").replace('/', "_");
        let partitions = i32::try_from(partitions).map_err(|_| RDKafkaErrorCode::BadMessage)?;
        let replication_factor = i32::try_from(replicas).map_err(|_| RDKafkaErrorCode::BadMessage)?;
        Ok(Some(TopicDescription { topic_id, partitions, replication_factor }))
    }
}

/// Takes what the client reported since the last call (`enabled_events` must
/// include errors). Wrong credentials show nowhere else.
pub fn take_errors<C: ClientContext>(client: &Client<C>, mut each: impl FnMut(RDKafkaErrorCode, String)) {
    // SAFETY: the main queue lives as long as the borrowed client; each event is
    // read before its `Owned` destroys it.
    unsafe {
        let Some(queue) =
            Owned::new(sys::rd_kafka_queue_get_main(client.native_ptr()), sys::rd_kafka_queue_destroy)
        else {
            return;
        };
        while let Some(event) =
            Owned::new(sys::rd_kafka_queue_poll(queue.pointer, 0), sys::rd_kafka_event_destroy)
        {
            if sys::rd_kafka_event_type(event.pointer) == sys::RD_KAFKA_EVENT_ERROR {
                let code = sys::rd_kafka_event_error(event.pointer).into();
                let text = sys::rd_kafka_event_error_string(event.pointer);
                let text = if text.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                };
                each(code, text);
            }
        }
    }
}

fn no_error(code: RDKafkaErrorCode) -> Result<(), RDKafkaErrorCode> {
    if code == RDKafkaErrorCode::NoError { Ok(()) } else { Err(code) }
}
