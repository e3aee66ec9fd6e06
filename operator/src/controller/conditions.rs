//! Findings → conditions, and which of them changed. Pure.

use caudal_model::resource::Delivery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::reason::{Problem, Reason};
use super::validate::Claimed;

pub const READY: &str = "Ready";
pub const TOPIC_READY: &str = "TopicReady";
pub const TABLE_READY: &str = "TableReady";
pub const CONSUMERS_READY: &str = "ConsumersReady";
pub const API_READY: &str = "APIReady";
pub const PAUSED: &str = "Paused";
pub const RECONCILIATION_PAUSED: &str = "ReconciliationPaused";
pub const DEFAULTS_DIFFER: &str = "DefaultsDiffer";
pub const DELIVERY_DOWNGRADED: &str = "DeliveryDowngraded";
pub const DELETION_BLOCKED: &str = "DeletionBlocked";

/// Kubernetes allows 32 KiB; nobody reads that much.
const MESSAGE_LENGTH: usize = 1024;

/// What was found out about one aspect of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Good {
        reason: Reason,
        message: String,
    },
    Bad(Problem),
    /// Not looked at this time: a condition that is already there stays.
    Unknown,
}

impl Finding {
    pub fn good(message: impl Into<String>) -> Self {
        Self::Good { reason: Reason::Reconciled, message: message.into() }
    }

    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Bad(problem) => Some(problem),
            Self::Good { .. } | Self::Unknown => None,
        }
    }
}

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        Self::Bad(problem)
    }
}

/// Everything conditions are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong with the resource as a whole, before any part of it.
    pub spec: Option<Problem>,
    pub topic: Finding,
    pub table: Finding,
    pub consumers: Finding,
    /// Absent without `spec.api`.
    pub api: Option<Finding>,
    /// Absent when nobody looked.
    pub delivery: Option<Delivered>,
    pub paused: bool,
    pub reconciliation_paused: bool,
    /// Recorded values that win over what the defaults say now.
    pub differences: Option<String>,
    pub deletion_blocked: Option<Problem>,
}

/// How often messages become rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub delivery: Delivery,
    /// Why that is less than the spec asks for.
    pub downgrade: Option<Problem>,
}

impl Findings {
    /// Others own what the pipeline wants, so nothing else was looked at.
    pub fn claimed(&mut self, Claimed { topic, table }: Claimed) {
        self.topic = topic.map_or(Finding::Unknown, Finding::Bad);
        self.table = table.map_or(Finding::Unknown, Finding::Bad);
    }
}

/// A condition that changed its status or reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub condition: String,
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// The conditions now, and those that changed since `before`.
pub fn conditions(
    before: &[Condition],
    findings: &Findings,
    generation: i64,
    now: Timestamp,
) -> (Vec<Condition>, Vec<Transition>) {
    let mut board = Board { before, generation, now, conditions: Vec::new() };
    let Findings { spec, topic, table, consumers, api, .. } = findings;
    let parts = [
        (TOPIC_READY, Some(topic)),
        (TABLE_READY, Some(table)),
        (CONSUMERS_READY, Some(consumers)),
        (API_READY, api.as_ref()),
    ];
    for (name, finding) in parts {
        if let Some(finding) = finding {
            board.finding(name, finding);
        }
    }
    let ready = summary(&board.conditions, spec.as_ref(), findings);
    // Ready speaks of a generation once all its parts do.
    let of_parts = board.conditions.iter().filter_map(|part| part.observed_generation).min();
    let observed = if spec.is_some() { generation } else { of_parts.unwrap_or(generation) };
    board.set_of(observed, READY, ready.0, &ready.1, &ready.2);
    board.conditions.rotate_right(1);
    let Findings { delivery, paused, reconciliation_paused, differences, deletion_blocked, .. } = findings;
    board.downgrade(delivery.as_ref());
    if *paused {
        board.is_true(
            PAUSED,
            Reason::Paused,
            "spec.paused is true: no consumers run, the API serves what is stored",
        );
    }
    if *reconciliation_paused {
        let message = "the annotation caudal.dev/pause-reconciliation is \"true\": nothing is changed until it is removed";
        board.is_true(RECONCILIATION_PAUSED, Reason::ReconciliationPaused, message);
    }
    if let Some(differences) = differences {
        board.is_true(DEFAULTS_DIFFER, Reason::RecordWins, differences);
    }
    if let Some(Problem { reason, message }) = deletion_blocked {
        board.is_true(DELETION_BLOCKED, *reason, message);
    }
    let transitions = transitions(before, &board.conditions);
    (board.conditions, transitions)
}

/// Status, reason and message of Ready: those of the first condition that fails.
fn summary(
    parts: &[Condition],
    spec: Option<&Problem>,
    findings: &Findings,
) -> (&'static str, String, String) {
    if let Some(Problem { reason, message }) = spec {
        return ("False", reason.to_string(), message.clone());
    }
    for status in ["False", "Unknown"] {
        if let Some(part) = parts.iter().find(|part| part.status == status) {
            let status = if status == "False" { "False" } else { "Unknown" };
            return (status, part.reason.clone(), format!("{}: {}", part.type_, part.message));
        }
    }
    if findings.paused {
        return (
            "True",
            Reason::Paused.to_string(),
            "everything is in place; consumers are paused".to_owned(),
        );
    }
    ("True", Reason::Reconciled.to_string(), "messages are being stored".to_owned())
}

struct Board<'a> {
    before: &'a [Condition],
    generation: i64,
    now: Timestamp,
    conditions: Vec<Condition>,
}

impl Board<'_> {
    fn finding(&mut self, name: &str, finding: &Finding) {
        match finding {
            Finding::Good { reason, message } => self.set(name, "True", &reason.to_string(), message),
            Finding::Bad(Problem { reason, message }) => {
                self.set(name, "False", &reason.to_string(), message);
            }
            Finding::Unknown => match find(self.before, name) {
                Some(known) => self.conditions.push(known.clone()),
                None => self.set(name, "Unknown", &Reason::Pending.to_string(), "not looked at yet"),
            },
        }
    }

    /// Shown from the first downgrade on, so that its end shows, too.
    fn downgrade(&mut self, delivered: Option<&Delivered>) {
        let known = find(self.before, DELIVERY_DOWNGRADED);
        match (delivered, known) {
            (Some(Delivered { downgrade: Some(Problem { reason, message }), .. }), _) => {
                self.is_true(DELIVERY_DOWNGRADED, *reason, message);
            }
            (Some(Delivered { delivery, downgrade: None }), Some(_)) => {
                let message = format!("delivery is {}, as the spec says", delivery.as_str());
                self.set(DELIVERY_DOWNGRADED, "False", Reason::Reconciled.as_str(), &message);
            }
            (None, Some(known)) => self.conditions.push(known.clone()),
            (_, None) => {}
        }
    }

    fn is_true(&mut self, name: &str, reason: Reason, message: &str) {
        self.set(name, "True", &reason.to_string(), message);
    }

    fn set(&mut self, name: &str, status: &str, reason: &str, message: &str) {
        self.set_of(self.generation, name, status, reason, message);
    }

    fn set_of(&mut self, generation: i64, name: &str, status: &str, reason: &str, message: &str) {
        let since = find(self.before, name)
            .filter(|known| known.status == status)
            .map_or_else(|| Time(self.now), |known| known.last_transition_time.clone());
        self.conditions.push(Condition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: shorten(message),
            observed_generation: Some(generation),
            last_transition_time: since,
        });
    }
}

fn find<'a>(conditions: &'a [Condition], name: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == name)
}

fn shorten(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_LENGTH) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

fn transitions(before: &[Condition], now: &[Condition]) -> Vec<Transition> {
    let changed = now.iter().filter(|condition| {
        let known = find(before, &condition.type_);
        let first_unknown = known.is_none() && condition.status == "Unknown";
        !first_unknown
            && known.is_none_or(|known| known.status != condition.status || known.reason != condition.reason)
    });
    changed
        .map(|Condition { type_, status, reason, message, .. }| Transition {
            condition: type_.clone(),
            status: status.clone(),
            reason: reason.clone(),
            message: message.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Findings {
        Findings {
            spec: None,
            topic: Finding::good("topic"),
            table: Finding::good("table"),
            consumers: Finding::good("consumers"),
            api: None,
            delivery: None,
            paused: false,
            reconciliation_paused: false,
            differences: None,
            deletion_blocked: None,
        }
    }

    fn unknown() -> Findings {
        Findings { topic: Finding::Unknown, table: Finding::Unknown, consumers: Finding::Unknown, ..fine() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn show(conditions: &[Condition]) -> Vec<String> {
        conditions.iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect()
    }

    #[test]
    fn the_first_write_is_unknown_and_no_event() {
        let (conditions, transitions) = conditions(&[], &unknown(), 1, at(0));
        assert_eq!(
            show(&conditions),
            [
                "Ready Unknown Pending",
                "TopicReady Unknown Pending",
                "TableReady Unknown Pending",
                "ConsumersReady Unknown Pending"
            ]
        );
        assert_eq!(transitions, []);
    }

    #[test]
    fn ready_takes_the_reason_of_the_first_failing_condition() {
        let gone = Problem::new(Reason::ClickHouseUnreachable, "no answer");
        let findings = Findings {
            table: gone.into(),
            consumers: Problem::new(Reason::RolloutInProgress, "0 of 1").into(),
            ..fine()
        };
        let (conditions, transitions) = conditions(&[], &findings, 1, at(0));
        assert_eq!(show(&conditions)[0], "Ready False ClickHouseUnreachable");
        assert_eq!(conditions[0].message, "TableReady: no answer");
        assert_eq!(transitions.len(), 4);
    }

    #[test]
    fn nothing_changes_when_nothing_changed() {
        let (first, _) = conditions(&[], &fine(), 1, at(0));
        let (second, transitions) = conditions(&first, &fine(), 1, at(60));
        assert_eq!(first, second);
        assert_eq!(transitions, []);
        assert_eq!(show(&second)[0], "Ready True Reconciled");
    }

    #[test]
    fn what_was_not_looked_at_stays() {
        let (first, _) = conditions(&[], &fine(), 1, at(0));
        let invalid = Findings { spec: Some(Problem::new(Reason::InvalidSpec, "bad")), ..unknown() };
        let (second, transitions) = conditions(&first, &invalid, 2, at(60));
        assert_eq!(show(&second)[..2], ["Ready False InvalidSpec", "TopicReady True Reconciled"]);
        assert_eq!(transitions.len(), 1);
        assert_eq!(second[0].last_transition_time, Time(at(60)));
        assert_eq!(second[1].last_transition_time, Time(at(0)));
    }

    #[test]
    fn ready_speaks_of_a_generation_only_when_all_its_parts_do() {
        let observed = |conditions: &[Condition]| conditions[0].observed_generation;
        let (first, _) = conditions(&[], &fine(), 1, at(0));
        let (early, _) = conditions(&first, &unknown(), 2, at(60));
        assert_eq!(show(&early)[0], "Ready True Reconciled");
        assert_eq!(observed(&early), Some(1));
        let (late, _) = conditions(&early, &fine(), 2, at(60));
        assert_eq!(observed(&late), Some(2));
    }

    #[test]
    fn a_downgrade_is_no_fault_and_its_end_shows() {
        let delivered =
            |delivery, downgrade| Findings { delivery: Some(Delivered { delivery, downgrade }), ..fine() };
        let exactly = delivered(Delivery::ExactlyOnce, None);
        let (first, _) = conditions(&[], &exactly, 1, at(0));
        assert!(find(&first, DELIVERY_DOWNGRADED).is_none());
        let view = Problem::new(Reason::MaterializedView, "a view");
        let (second, transitions) =
            conditions(&first, &delivered(Delivery::AtLeastOnce, Some(view)), 1, at(60));
        assert_eq!(show(&second)[0], "Ready True Reconciled");
        assert_eq!(show(&second)[4], "DeliveryDowngraded True MaterializedView");
        assert_eq!(transitions.len(), 1);
        let (third, transitions) = conditions(&second, &fine(), 1, at(120));
        assert_eq!((&third, transitions), (&second, vec![]), "nobody looked");
        let (fourth, transitions) = conditions(&third, &exactly, 1, at(180));
        assert_eq!(show(&fourth)[4], "DeliveryDowngraded False Reconciled");
        assert_eq!(transitions.len(), 1);
    }

    #[test]
    fn a_paused_pipeline_is_ready_and_says_so() {
        let (conditions, _) = conditions(&[], &Findings { paused: true, ..fine() }, 1, at(0));
        assert_eq!(show(&conditions)[0], "Ready True Paused");
        assert_eq!(show(&conditions)[4], "Paused True Paused");
    }
}
