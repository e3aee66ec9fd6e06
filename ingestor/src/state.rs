//! What `GET /state` says of troubles: since when, and what.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caudal_model::state::{Reason, Trouble};
use chrono::{DateTime, SecondsFormat, Utc};

use crate::kafka::Code;

/// Reports a trouble; one of the same reason keeps its beginning.
pub fn raise(slot: &mut Option<Trouble>, reason: Reason, message: &str) {
    let since = match slot.take() {
        Some(before) if before.reason == reason => before.since,
        _ => {
            let now: DateTime<Utc> = SystemTime::now().into();
            now.to_rfc3339_opts(SecondsFormat::Secs, true)
        }
    };
    *slot = Some(Trouble { reason, message: message.to_owned(), since });
}

/// Takes a trouble of this reason back.
pub fn clear(slot: &mut Option<Trouble>, reason: Reason) {
    slot.take_if(|trouble| trouble.reason == reason);
}

/// What an error of Kafka's means for the pipeline.
pub fn kafka_reason(code: Code) -> Reason {
    match code {
        Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
        | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
        | Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
        | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => Reason::AuthenticationFailed,
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => {
            Reason::TopicChanged
        }
        _ => Reason::KafkaUnreachable,
    }
}

/// Milliseconds since 1970 UTC.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_keeps_its_beginning_until_the_reason_changes() {
        let mut slot =
            Some(Trouble { reason: Reason::KafkaUnreachable, message: "a".into(), since: "then".into() });
        raise(&mut slot, Reason::KafkaUnreachable, "b");
        assert_eq!(
            slot.as_ref().map(|trouble| (trouble.since.as_str(), trouble.message.as_str())),
            Some(("then", "b"))
        );
        raise(&mut slot, Reason::BlockRefused, "c");
        assert_ne!(slot.map(|trouble| trouble.since), Some("then".to_owned()));
    }
}
