//! What a partition's queue hands out: batches of borrowed messages.

use std::slice;

use rdkafka_sys as sys;

use super::Code;

/// Messages of one read, taken one after the other; room for them is reused.
pub struct Batch {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    next: usize,
    filled: usize,
    /// How many messages the last read asked for.
    asked: usize,
}

/// What a read holds at most, about: a partition may have to keep the rest of
/// it until its next block begins.
const READ_BYTES: usize = 128 << 10;
/// Of the first read, which knows nothing of the messages' size.
const FIRST_READ: usize = 64;

impl Batch {
    pub fn with_capacity(messages: usize) -> Self {
        let asked = messages.min(FIRST_READ);
        Self { messages: vec![std::ptr::null_mut(); messages], next: 0, filled: 0, asked }
    }

    /// Whether the last read found fewer messages than it asked for.
    pub fn drained(&self) -> bool {
        self.filled < self.asked
    }

    /// The last message taken, leaving out what is none.
    pub fn last_taken(&self) -> Option<Message<'_>> {
        let taken = self.messages[..self.next.min(self.filled)].iter().rev();
        // SAFETY: as in `peek`.
        let mut taken = taken.map(|raw| Message(unsafe { &**raw }));
        taken.find(|message| message.code() == Code::RD_KAFKA_RESP_ERR_NO_ERROR)
    }

    /// The message that is next, again until [`Batch::advance`].
    #[inline]
    pub fn peek(&self) -> Option<Message<'_>> {
        // SAFETY: pointers up to `filled` are valid until the batch is cleared
        // or dropped, which needs it mutably.
        (self.next < self.filled).then(|| Message(unsafe { &*self.messages[self.next] }))
    }

    /// Messages of the last read, taken or not.
    pub fn size(&self) -> usize {
        self.filled
    }

    #[inline]
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// # Safety
    /// `queue` is a valid queue of a consumer that outlives the batch's use.
    pub(super) unsafe fn fill(&mut self, queue: *mut sys::rd_kafka_queue_t) {
        self.clear();
        // SAFETY: `messages` has room for as many pointers as are asked for.
        let got =
            unsafe { sys::rd_kafka_consume_batch_queue(queue, 0, self.messages.as_mut_ptr(), self.asked) };
        self.filled = usize::try_from(got).unwrap_or_default();
    }

    /// Asks for as many messages next as fit into [`READ_BYTES`], going by one
    /// of the last read.
    fn adapt(&mut self) {
        if let Some(message) = self.last_taken() {
            let size = message.value().map_or(0, <[u8]>::len) + 1;
            self.asked = (READ_BYTES / size).clamp(1, self.messages.len());
        }
    }

    /// Gives the messages back.
    pub fn clear(&mut self) {
        self.adapt();
        for raw in &self.messages[..self.filled] {
            // SAFETY: each was handed to us once, by `fill`.
            unsafe { sys::rd_kafka_message_destroy(*raw) };
        }
        self.filled = 0;
        self.next = 0;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A message, or what librdkafka has to say instead of one.
#[derive(Clone, Copy)]
pub struct Message<'a>(pub(super) &'a sys::rd_kafka_message_t);

impl<'a> Message<'a> {
    #[inline]
    pub fn code(&self) -> Code {
        self.0.err
    }

    /// Of the message; at the end of a partition, the offset of the next one.
    #[inline]
    pub fn offset(&self) -> i64 {
        self.0.offset
    }

    /// The leader's epoch when the message was written.
    pub fn epoch(&self) -> Option<i32> {
        // SAFETY: reads the message only.
        let epoch = unsafe { sys::rd_kafka_message_leader_epoch(self.0) };
        (epoch >= 0).then_some(epoch)
    }

    /// `None` is a tombstone.
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: `payload` has `len` bytes as long as the message lives.
        unsafe { bytes(self.0.payload.cast(), self.0.len) }
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: `key` has `key_len` bytes as long as the message lives.
        unsafe { bytes(self.0.key.cast(), self.0.key_len) }
    }

    /// Milliseconds since 1970 UTC; 0 when the message has no timestamp.
    #[inline]
    pub fn timestamp_ms(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: reads the message only.
        unsafe { sys::rd_kafka_message_timestamp(self.0, &raw mut kind) }.max(0)
    }

    /// librdkafka's words about an error.
    pub fn error_text(&self) -> String {
        self.value()
            .map_or_else(|| super::describe(self.code()), |text| String::from_utf8_lossy(text).into_owned())
    }
}

unsafe fn bytes<'a>(start: *const u8, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: by the caller's word.
    Some(unsafe { slice::from_raw_parts(start, len) })
}
