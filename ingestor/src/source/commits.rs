//! One commit at a time for the whole consumer (rule 1).

use std::time::{Duration, Instant};

use crate::kafka::{Code, CommitAnswer};
use crate::protocol::Commit;

/// The commit that is on its way.
pub struct Outstanding {
    pub sent: Instant,
    pub partitions: Vec<(i32, Commit)>,
}

impl Outstanding {
    pub fn overdue(&self, limit: Duration) -> bool {
        self.sent.elapsed() > limit
    }
}

/// What a partition's own code in the answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Committed,
    /// Not committed, and nothing of it can come later: say it again.
    Again(Code),
    /// We don't know, or we are no member any more: join anew.
    Rejoin,
}

/// The answer's verdict on one partition.
pub fn verdict(answer: &CommitAnswer, partition: i32) -> Verdict {
    let own = answer.partitions.iter().find(|(other, _)| *other == partition);
    let Some(code) = own.map(|(_, code)| *code) else { return Verdict::Rejoin };
    match code {
        Code::RD_KAFKA_RESP_ERR_NO_ERROR if answer.code == Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
            Verdict::Committed
        }
        // The coordinator is loading or the broker throttles: a clear no.
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
        | Code::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED
        | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
        | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => Verdict::Again(code),
        _ => Verdict::Rejoin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_verdict() {
        let ok = Code::RD_KAFKA_RESP_ERR_NO_ERROR;
        let answer = CommitAnswer {
            code: ok,
            partitions: vec![
                (0, ok),
                (1, Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART),
                (2, Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION),
            ],
        };
        let verdicts = [0, 1, 2, 3].map(|partition| verdict(&answer, partition));
        let again = Verdict::Again(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
        assert_eq!(verdicts, [Verdict::Committed, again, Verdict::Rejoin, Verdict::Rejoin]);
    }

    #[test]
    fn a_request_that_failed_as_a_whole_committed_nothing() {
        let answer = CommitAnswer {
            code: Code::RD_KAFKA_RESP_ERR__TIMED_OUT,
            partitions: vec![(0, Code::RD_KAFKA_RESP_ERR_NO_ERROR)],
        };
        assert_eq!(verdict(&answer, 0), Verdict::Rejoin);
    }
}
