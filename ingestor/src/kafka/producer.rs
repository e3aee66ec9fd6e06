//! An idempotent producer that copies a message byte for byte into another
//! topic and says when Kafka has it.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::thread::Thread;

use rdkafka::ClientConfig;
use rdkafka_sys as sys;
use sys::rd_kafka_vtype_t as Tag;

use super::{Code, KafkaError, Message};

/// What is queued and what is on the wire.
const PURGE_ALL: i32 = sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT;

/// A message on its way to the dead letters.
pub struct DeadLetterMessage<'a> {
    pub message: Message<'a>,
    /// Added behind the message's own headers.
    pub headers: &'a [(&'a CStr, &'a [u8])],
    /// Comes back in [`Delivery`].
    pub ticket: usize,
}

/// The fate of one message.
pub struct Delivery {
    pub ticket: usize,
    /// The message again, if Kafka refused it.
    pub refused: Option<(KafkaError, Letter)>,
}

/// A copy of a message with its headers.
pub struct Letter {
    value: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    headers: *mut sys::rd_kafka_headers_t,
}

impl Drop for Letter {
    fn drop(&mut self) {
        if !self.headers.is_null() {
            // SAFETY: owned, freed once.
            unsafe { sys::rd_kafka_headers_destroy(self.headers) }
        }
    }
}

/// The producer's queue is full, or it can't send at all.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("queue a dead letter")]
pub struct Refused(#[source] pub KafkaError);

pub struct Producer {
    client: *mut sys::rd_kafka_t,
    topics: *mut sys::rd_kafka_queue_t,
    topic: CString,
    shared: Box<Shared>,
}

struct Shared {
    deliveries: RefCell<Vec<Delivery>>,
    wake: Thread,
}

impl Producer {
    pub fn new(config: &ClientConfig, topic: &str, wake: Thread) -> anyhow::Result<Self> {
        let shared = Box::new(Shared { deliveries: RefCell::new(Vec::new()), wake });
        let opaque = ptr::from_ref::<Shared>(&shared).cast_mut().cast::<c_void>();
        let native = config.create_native_config()?;
        let mut text = [0 as c_char; 512];
        // SAFETY: as in `Consumer::new`.
        let (client, topics) = unsafe {
            let conf = sys::rd_kafka_conf_dup(native.ptr());
            sys::rd_kafka_conf_set_opaque(conf, opaque);
            sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery));
            sys::rd_kafka_conf_set_log_cb(conf, Some(super::consumer::on_log));
            let kind = sys::rd_kafka_type_t::RD_KAFKA_PRODUCER;
            let client = sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len());
            if client.is_null() {
                sys::rd_kafka_conf_destroy(conf);
                let text = CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned();
                anyhow::bail!("create the Kafka producer: {text}");
            }
            let queue = sys::rd_kafka_queue_get_main(client);
            sys::rd_kafka_queue_cb_event_enable(queue, Some(on_event), opaque);
            sys::rd_kafka_queue_destroy(queue);
            let topics = sys::rd_kafka_queue_new(client);
            sys::rd_kafka_queue_cb_event_enable(topics, Some(on_event), opaque);
            (client, topics)
        };
        Ok(Self { client, topics, topic: CString::new(topic)?, shared })
    }

    pub(super) fn client(&self) -> *mut sys::rd_kafka_t {
        self.client
    }

    pub(super) fn topics(&self) -> *mut sys::rd_kafka_queue_t {
        self.topics
    }

    /// Queues a copy of the message.
    pub fn send(&self, letter: &DeadLetterMessage<'_>) -> Result<(), Refused> {
        let raw = letter.message.0;
        // SAFETY: the message lives during the call, its bytes are copied
        // (`MSG_F_COPY`); the headers are ours until the call succeeds.
        unsafe {
            let headers = copied_headers(raw, letter.headers.len());
            for (name, value) in letter.headers {
                sys::rd_kafka_header_add(
                    headers,
                    name.as_ptr(),
                    isize::try_from(name.to_bytes().len()).unwrap_or(-1),
                    value.as_ptr().cast(),
                    isize::try_from(value.len()).unwrap_or(-1),
                );
            }
            let value = (raw.payload, raw.len);
            self.produce(value, (raw.key, raw.key_len), headers, letter.ticket)
        }
    }

    /// Queues once more what came back.
    pub fn resend(&self, letter: &Letter, ticket: usize) -> Result<(), Refused> {
        let part = |bytes: &Option<Vec<u8>>| {
            bytes
                .as_ref()
                .map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
        };
        // SAFETY: the letter lives during the call, its bytes are copied.
        unsafe {
            let headers = sys::rd_kafka_headers_copy(letter.headers);
            self.produce(part(&letter.value), part(&letter.key), headers, ticket)
        }
    }

    /// # Safety
    /// Pointers are valid for their lengths; `headers` is given away.
    unsafe fn produce(
        &self,
        value: (*mut c_void, usize),
        key: (*mut c_void, usize),
        headers: *mut sys::rd_kafka_headers_t,
        ticket: usize,
    ) -> Result<(), Refused> {
        let memory = |(ptr, size)| sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size };
        let units = [
            unit(Tag::RD_KAFKA_VTYPE_TOPIC, |u| u.cstr = self.topic.as_ptr()),
            unit(Tag::RD_KAFKA_VTYPE_MSGFLAGS, |u| u.i = sys::RD_KAFKA_MSG_F_COPY),
            unit(Tag::RD_KAFKA_VTYPE_VALUE, |u| u.mem = memory(value)),
            unit(Tag::RD_KAFKA_VTYPE_KEY, |u| u.mem = memory(key)),
            unit(Tag::RD_KAFKA_VTYPE_HEADERS, |u| u.headers = headers),
            unit(Tag::RD_KAFKA_VTYPE_OPAQUE, |u| u.ptr = ptr::without_provenance_mut(ticket)),
        ];
        // SAFETY: by contract; the headers stay ours when the call fails.
        unsafe {
            let error = sys::rd_kafka_produceva(self.client, units.as_ptr(), units.len());
            if error.is_null() {
                return Ok(());
            }
            let code = sys::rd_kafka_error_code(error);
            sys::rd_kafka_error_destroy(error);
            sys::rd_kafka_headers_destroy(headers);
            Err(Refused(KafkaError(code)))
        }
    }

    /// The error after which this producer sends nothing any more.
    pub fn fatal(&self) -> Option<KafkaError> {
        // SAFETY: the text is not asked for.
        let code = unsafe { sys::rd_kafka_fatal_error(self.client, ptr::null_mut(), 0) };
        KafkaError::check(code).err()
    }

    /// Gives up what is on its way, which comes back as refused.
    pub fn purge(&self) {
        // SAFETY: calls our delivery callback on this thread.
        unsafe {
            sys::rd_kafka_purge(self.client, PURGE_ALL);
            sys::rd_kafka_flush(self.client, 1_000);
        }
    }

    /// What became of earlier messages.
    pub fn deliveries(&self) -> Vec<Delivery> {
        // SAFETY: calls our delivery callback on this thread.
        unsafe { sys::rd_kafka_poll(self.client, 0) };
        self.shared.deliveries.take()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // Whatever is unsent belongs to ranges that were not committed; they
        // will be read again.
        // SAFETY: destroyed once; purging keeps `destroy` from waiting.
        unsafe {
            sys::rd_kafka_queue_destroy(self.topics);
            sys::rd_kafka_purge(self.client, PURGE_ALL);
            sys::rd_kafka_destroy(self.client);
        }
    }
}

unsafe fn copied_headers(raw: &sys::rd_kafka_message_t, more: usize) -> *mut sys::rd_kafka_headers_t {
    // SAFETY: the message's headers are only read.
    unsafe {
        let mut found = ptr::null_mut();
        let code = sys::rd_kafka_message_headers(raw, &raw mut found);
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && !found.is_null() {
            sys::rd_kafka_headers_copy(found)
        } else {
            sys::rd_kafka_headers_new(more)
        }
    }
}

fn unit(vtype: Tag, fill: impl FnOnce(&mut sys::rd_kafka_vu_s__bindgen_ty_1)) -> sys::rd_kafka_vu_s {
    let mut u = sys::rd_kafka_vu_s__bindgen_ty_1 { _pad: [0; 64] };
    fill(&mut u);
    sys::rd_kafka_vu_s { vtype, u }
}

unsafe extern "C" fn on_event(_client: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the producer's `Shared`.
    unsafe { &*opaque.cast::<Shared>() }.wake.unpark();
}

unsafe extern "C" fn on_delivery(
    _client: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: `opaque` is the producer's `Shared`, the message is valid here.
    let (shared, raw) = unsafe { (&*opaque.cast::<Shared>(), &*message) };
    let refused = KafkaError::check(raw.err).err().map(|error| {
        let copy = Message(raw);
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        // SAFETY: reads the message's headers.
        let headers = unsafe { copied_headers(raw, 0) };
        (error, Letter { value: owned(copy.value()), key: owned(copy.key()), headers })
    });
    shared.deliveries.borrow_mut().push(Delivery { ticket: raw._private.addr(), refused });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_that_has_failed_gives_its_letters_back() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("enable.idempotence", "true");
        config.set("message.timeout.ms", "0");
        let producer = Producer::new(&config, "letters", std::thread::current()).unwrap();
        let mut value = *b"letter";
        // SAFETY: the value lives during the call, the headers are given away.
        unsafe {
            let headers = sys::rd_kafka_headers_new(1);
            let value = (value.as_mut_ptr().cast(), value.len());
            producer.produce(value, (ptr::null_mut(), 0), headers, 7).unwrap();
            let code = Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
            sys::rd_kafka_test_fatal_error(producer.client, code, c"test".as_ptr());
        }
        assert!(producer.fatal().is_some());
        producer.purge();
        let deliveries = producer.deliveries();
        let [Delivery { ticket: 7, refused: Some((_, letter)) }] = &deliveries[..] else {
            panic!("{} deliveries", deliveries.len());
        };
        assert_eq!(letter.value.as_deref(), Some(&b"letter"[..]));
    }
}
