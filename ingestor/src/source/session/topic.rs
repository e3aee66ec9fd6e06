//! Is the topic still the one the plan names? One that is deleted and made
//! again while it is read looks like the old one, if it has as many messages.
//! So nothing is promised before Kafka was asked, after the last message read.

use std::time::{Duration, Instant};

use caudal_model::state::Reason;

use super::{End, Session};
use crate::state;

const TIMEOUT: Duration = Duration::from_secs(5);
/// After no answer, and while Kafka is known to be away.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// A question without even a timeout went with its client.
const LOST: Duration = Duration::from_secs(15);

/// One question at a time, and none without need.
#[derive(Debug, Default)]
pub struct TopicWatch {
    /// The question under way.
    asked: Option<Instant>,
    /// When the last question was asked to which the answer was yes.
    confirmed: Option<Instant>,
    not_before: Option<Instant>,
}

impl TopicWatch {
    /// Whether what was read until `moment` is of the plan's topic.
    pub fn confirms(&self, moment: Instant) -> bool {
        self.confirmed.is_some_and(|confirmed| confirmed >= moment)
    }

    /// Whether to ask now for what was read until `needed`.
    fn asks(&mut self, needed: Option<Instant>, now: Instant) -> bool {
        self.asked.take_if(|asked| now.saturating_duration_since(*asked) > LOST);
        let asks = needed.is_some_and(|moment| !self.confirms(moment))
            && self.asked.is_none()
            && self.not_before.is_none_or(|moment| moment <= now);
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// `yes`: it is the topic.
    fn answered(&mut self, yes: bool, now: Instant) {
        let asked = self.asked.take();
        if yes {
            self.confirmed = asked;
        } else {
            self.not_before = Some(now + ASK_AGAIN);
        }
    }
}

impl Session<'_> {
    pub(super) fn watch_topic(&mut self) -> Result<(), End> {
        // Later than what this round has sealed.
        let now = Instant::now();
        match self.letters.producer().topic_answer() {
            Some(Ok(id)) if id != self.context.plan.source.topic_id => {
                return Err(End::Rejoin("the topic was made again"));
            }
            Some(Ok(_)) => {
                self.topic.answered(true, now);
                self.troubles.kafka = None;
            }
            Some(Err(error)) => {
                self.topic.answered(false, now);
                let message = format!("describe the topic: {error}");
                state::raise(&mut self.troubles.kafka, state::kafka_reason(error.0), &message);
            }
            None => {}
        }
        let read = self.partitions.values();
        let needed = read.filter_map(|one| one.sealed_at().max(one.misplaced_since(now))).max();
        // Nobody else may notice that Kafka is back.
        let trouble = self.troubles.kafka.as_ref();
        let away = trouble.is_some_and(|trouble| trouble.reason == Reason::KafkaUnreachable);
        let probe = away.then(|| now.checked_sub(ASK_AGAIN)).flatten();
        if self.topic.asks(needed.max(probe), now) {
            self.letters.producer().ask_topic(self.consumer.topic(), TIMEOUT);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_a_later_question_confirms() {
        let mut watch = TopicWatch::default();
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        assert!(!watch.asks(None, second(0)));
        assert!(watch.asks(Some(second(1)), second(1)));
        assert!(!watch.asks(Some(second(2)), second(2)), "one at a time");
        watch.answered(true, second(3));
        assert!(watch.confirms(second(1)));
        assert!(!watch.confirms(second(2)), "read after the question was asked");
        assert!(!watch.asks(Some(second(1)), second(4)), "known");
        assert!(watch.asks(Some(second(2)), second(4)));
        watch.answered(false, second(4));
        assert!(!watch.asks(Some(second(2)), second(5)));
        assert!(watch.asks(Some(second(2)), second(6)));
        assert!(watch.asks(Some(second(2)), second(22)), "nobody answers that any more");
    }
}
