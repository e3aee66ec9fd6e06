//! What only administration calls tell: ids of the cluster and the topic.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka_sys as sys;

use super::consumer::millis;
use super::{Code, Consumer, KafkaError, Producer};

// Missing from the generated bindings.
unsafe extern "C" {
    fn rd_kafka_DescribeTopics(
        client: *mut sys::rd_kafka_t,
        topics: *const sys::rd_kafka_TopicCollection_t,
        options: *const sys::rd_kafka_AdminOptions_t,
        queue: *mut sys::rd_kafka_queue_t,
    );
    fn rd_kafka_DescribeTopics_result_topics(
        result: *const sys::rd_kafka_DescribeTopics_result_t,
        count: *mut usize,
    ) -> *mut *const sys::rd_kafka_TopicDescription_t;
    fn rd_kafka_TopicDescription_topic_id(
        topic: *const sys::rd_kafka_TopicDescription_t,
    ) -> *const sys::rd_kafka_Uuid_t;
    fn rd_kafka_TopicDescription_error(
        topic: *const sys::rd_kafka_TopicDescription_t,
    ) -> *const sys::rd_kafka_error_t;
    fn rd_kafka_TopicDescription_partitions(
        topic: *const sys::rd_kafka_TopicDescription_t,
        count: *mut usize,
    ) -> *mut *const std::ffi::c_void;
}

impl Consumer {
    /// The topic's id (base64url) and its number of partitions.
    pub fn describe_topic(&self, timeout: Duration) -> Result<(String, i32), KafkaError> {
        // SAFETY: the queue and the event are destroyed here, the event after
        // it was read.
        unsafe {
            let queue = sys::rd_kafka_queue_new(self.client());
            ask(self.client(), self.topic(), queue, timeout);
            let event = sys::rd_kafka_queue_poll(queue, millis(timeout));
            let answer = if event.is_null() {
                Err(KafkaError(Code::RD_KAFKA_RESP_ERR__TIMED_OUT))
            } else {
                taken(event)
            };
            sys::rd_kafka_queue_destroy(queue);
            answer
        }
    }

    /// The cluster's id.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        // SAFETY: returns an allocated string or null.
        unsafe {
            let raw = sys::rd_kafka_clusterid(self.client(), millis(timeout));
            if raw.is_null() {
                return None;
            }
            let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
            sys::rd_kafka_mem_free(self.client(), raw.cast());
            Some(text)
        }
    }
}

impl Producer {
    /// Asks for a topic's id; the answer, or that there is none within
    /// `timeout`, comes from [`Producer::topic_answer`]. A consumer is not asked:
    /// a broker answers in order, and behind a Fetch that waits for messages all
    /// questions on its connection wait, too.
    pub fn ask_topic(&self, topic: &CStr, timeout: Duration) {
        // SAFETY: the producer's own queue.
        unsafe { ask(self.client(), topic, self.topics(), timeout) }
    }

    pub fn topic_answer(&self) -> Option<Result<String, KafkaError>> {
        // SAFETY: the event is destroyed after it was read.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.topics(), 0);
            (!event.is_null()).then(|| taken(event).map(|(id, _)| id))
        }
    }
}

/// # Safety
/// `queue` is a valid queue of `client`.
unsafe fn ask(
    client: *mut sys::rd_kafka_t,
    topic: &CStr,
    queue: *mut sys::rd_kafka_queue_t,
    timeout: Duration,
) {
    let mut names: [*const c_char; 1] = [topic.as_ptr()];
    // SAFETY: names and options are copied, and destroyed here.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = sys::rd_kafka_AdminOptions_new(client, operation);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis(timeout), ptr::null_mut(), 0);
        rd_kafka_DescribeTopics(client, topics, options, queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
    }
}

/// # Safety
/// `event` is valid, and given away.
unsafe fn taken(event: *mut sys::rd_kafka_event_t) -> Result<(String, i32), KafkaError> {
    // SAFETY: by contract.
    unsafe {
        let answer = described(event);
        sys::rd_kafka_event_destroy(event);
        answer
    }
}

unsafe fn described(event: *mut sys::rd_kafka_event_t) -> Result<(String, i32), KafkaError> {
    // SAFETY: the event is valid; null answers are checked.
    unsafe {
        KafkaError::check(sys::rd_kafka_event_error(event))?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        if result.is_null() {
            return Err(KafkaError(Code::RD_KAFKA_RESP_ERR__BAD_MSG));
        }
        let topics = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count == 0 {
            return Err(KafkaError(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
        }
        let topic = *topics;
        let error = rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            KafkaError::check(sys::rd_kafka_error_code(error))?;
        }
        let id = sys::rd_kafka_Uuid_base64str(rd_kafka_TopicDescription_topic_id(topic));
        let mut partitions = 0;
        rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        // As Kafka's own tools print it: the alphabet for URLs.
        let id = CStr::from_ptr(id).to_string_lossy().replace('+', "-").replace('/', "_");
        Ok((id, i32::try_from(partitions).unwrap_or(i32::MAX)))
    }
}
