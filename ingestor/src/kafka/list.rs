//! Partitions with offsets and metadata ⇄ librdkafka's list type.

use std::ffi::{CStr, CString};
use std::slice;

use rdkafka_sys as sys;

use super::Code;

/// Where something stands in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    /// An offset, or one of librdkafka's negative names for one.
    pub offset: i64,
    /// Of the message before `offset`, where that is known.
    pub epoch: Option<i32>,
    /// Goes into the commit; empty when the list is used for something else.
    pub metadata: String,
}

/// What the group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub partition: i32,
    /// `None` when nothing is committed.
    pub offset: Option<i64>,
    pub epoch: Option<i32>,
    pub metadata: Vec<u8>,
    pub error: Code,
}

/// An owned `rd_kafka_topic_partition_list_t` of one topic.
pub(super) struct List(*mut sys::rd_kafka_topic_partition_list_t);

impl List {
    pub fn new() -> Self {
        // SAFETY: allocates; never null (librdkafka aborts when out of memory).
        Self(unsafe { sys::rd_kafka_topic_partition_list_new(8) })
    }

    pub fn of_topic(topic: &CStr) -> Self {
        let list = Self::new();
        list.add(topic, -1);
        list
    }

    pub fn of_positions(topic: &CStr, positions: &[Position]) -> Self {
        let list = Self::new();
        for position in positions {
            let element = list.add(topic, position.partition);
            element.offset = position.offset;
            if let Some(epoch) = position.epoch {
                // SAFETY: sets a number of our element.
                unsafe { sys::rd_kafka_topic_partition_set_leader_epoch(element, epoch) };
            }
            if !position.metadata.is_empty() {
                let text = CString::new(position.metadata.as_str()).unwrap_or_default();
                // The list frees its elements' metadata with `free`.
                // SAFETY: `text` is a C string; its copy has strlen + 1 bytes.
                element.metadata = unsafe { libc::strdup(text.as_ptr()) }.cast();
                element.metadata_size = text.as_bytes().len();
            }
        }
        list
    }

    #[allow(clippy::mut_from_ref)]
    pub fn add(&self, topic: &CStr, partition: i32) -> &mut sys::rd_kafka_topic_partition_t {
        // SAFETY: returns a valid element, alive until the next `add`.
        unsafe { &mut *sys::rd_kafka_topic_partition_list_add(self.0, topic.as_ptr(), partition) }
    }

    pub fn ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0
    }

    pub fn elements(&self) -> &[sys::rd_kafka_topic_partition_t] {
        // SAFETY: `elems` has `cnt` elements; it may be null when there are none.
        unsafe { elements(self.0) }
    }

    pub fn committed(&self) -> Vec<Committed> {
        self.elements()
            .iter()
            .map(|element| Committed {
                partition: element.partition,
                offset: (element.offset >= 0).then_some(element.offset),
                epoch: epoch(element),
                metadata: metadata(element).to_vec(),
                error: element.err,
            })
            .collect()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0) }
    }
}

/// # Safety
/// `raw` is a valid list for the lifetime of the answer.
pub(super) unsafe fn elements<'a>(
    raw: *const sys::rd_kafka_topic_partition_list_t,
) -> &'a [sys::rd_kafka_topic_partition_t] {
    // SAFETY: by contract.
    let list = unsafe { &*raw };
    if list.elems.is_null() || list.cnt <= 0 {
        return &[];
    }
    // SAFETY: `elems` has `cnt` elements.
    unsafe { slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or_default()) }
}

fn epoch(element: &sys::rd_kafka_topic_partition_t) -> Option<i32> {
    // SAFETY: reads a number of the element.
    let epoch = unsafe { sys::rd_kafka_topic_partition_get_leader_epoch(element) };
    (epoch >= 0).then_some(epoch)
}

fn metadata(element: &sys::rd_kafka_topic_partition_t) -> &[u8] {
    if element.metadata.is_null() {
        return &[];
    }
    // SAFETY: `metadata` has `metadata_size` bytes.
    unsafe { slice::from_raw_parts(element.metadata.cast(), element.metadata_size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_offsets_and_metadata() {
        let positions = [
            Position { partition: 3, offset: 17, epoch: Some(4), metadata: "caudal/1 idle".into() },
            Position { partition: 0, offset: -2, epoch: None, metadata: String::new() },
        ];
        let committed = List::of_positions(c"t", &positions).committed();
        assert_eq!((committed[0].offset, committed[0].epoch), (Some(17), Some(4)));
        assert_eq!(committed[0].metadata, b"caudal/1 idle");
        assert_eq!((committed[1].partition, committed[1].offset, committed[1].epoch), (0, None, None));
        assert!(committed[1].metadata.is_empty());
    }
}
