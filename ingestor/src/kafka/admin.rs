//! What only administration calls tell: ids of the cluster and the topic.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka_sys as sys;

use super::{Code, Consumer, KafkaError};

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
        let names = [self.topic().as_ptr()];
        // SAFETY: everything made here is destroyed here, the event last since
        // the result lives in it.
        unsafe {
            let queue = sys::rd_kafka_queue_new(self.client());
            let mut names: [*const c_char; 1] = names;
            let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
            rd_kafka_DescribeTopics(self.client(), topics, ptr::null(), queue);
            let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
            let event = sys::rd_kafka_queue_poll(queue, timeout);
            let answer = if event.is_null() {
                Err(KafkaError(Code::RD_KAFKA_RESP_ERR__TIMED_OUT))
            } else {
                let answer = described(event);
                sys::rd_kafka_event_destroy(event);
                answer
            };
            sys::rd_kafka_TopicCollection_destroy(topics);
            sys::rd_kafka_queue_destroy(queue);
            answer
        }
    }

    /// The cluster's id.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: returns an allocated string or null.
        unsafe {
            let raw = sys::rd_kafka_clusterid(self.client(), timeout);
            if raw.is_null() {
                return None;
            }
            let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
            sys::rd_kafka_mem_free(self.client(), raw.cast());
            Some(text)
        }
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
