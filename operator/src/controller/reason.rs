//! The closed list of reasons conditions carry, and problems: a reason, what is
//! wrong, and what to do next. A reason decides how soon to try again.

use std::fmt;
use std::time::Duration;

use caudal_model::ddl::{Downgrade, Obstacle};
use caudal_model::state;

use crate::external::clickhouse::ClickHouseError;
use crate::external::kafka::KafkaError;

/// Declares the reasons and their names, which are one.
macro_rules! reasons {
    ($($(#[$documentation:meta])* $name:ident,)*) => {
        /// Why a condition is what it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$documentation])* $name,)*
        }

        impl Reason {
            /// As conditions, Events and labels show it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

reasons! {
    /// Not looked at yet.
    Pending,
    Reconciled,
    Paused,
    ReconciliationPaused,
    Deleting,
    /// What was recorded wins over what the defaults say now.
    RecordWins,
    RolloutInProgress,
    InvalidSpec,
    SecretNotFound,
    SecretInvalid,
    KafkaUnreachable,
    KafkaRefused,
    ClickHouseUnreachable,
    ClickHouseRefused,
    AuthenticationFailed,
    UnsupportedServer,
    SchemaIncompatible,
    NameConflict,
    TableChanged,
    TableNotFound,
    TopicNotFound,
    TopicChanged,
    ObjectRefused,
    DeletionBlocked,
    BlockRefused,
    RetentionGap,
    DeadLettersBlocked,
    DeadLettersLimited,
    IntentForeign,
    PlanRevisionMissing,
    SettleFailed,
    WindowExceeded,
    /// What keeps delivery from being exactly once.
    EngineNotExact,
    MaterializedView,
    RowPolicy,
    TableSettings,
    SelfTestFailed,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl From<state::Reason> for Reason {
    fn from(reason: state::Reason) -> Self {
        match reason {
            state::Reason::KafkaUnreachable => Self::KafkaUnreachable,
            state::Reason::ClickHouseUnreachable => Self::ClickHouseUnreachable,
            state::Reason::AuthenticationFailed => Self::AuthenticationFailed,
            state::Reason::BlockRefused => Self::BlockRefused,
            state::Reason::RetentionGap => Self::RetentionGap,
            state::Reason::DeadLettersBlocked => Self::DeadLettersBlocked,
            state::Reason::DeadLettersLimited => Self::DeadLettersLimited,
            state::Reason::TopicChanged => Self::TopicChanged,
            state::Reason::TableChanged => Self::TableChanged,
            state::Reason::IntentForeign => Self::IntentForeign,
            state::Reason::PlanRevisionMissing => Self::PlanRevisionMissing,
            state::Reason::SettleFailed => Self::SettleFailed,
            state::Reason::WindowExceeded => Self::WindowExceeded,
        }
    }
}

/// When a reconcile that met a problem runs again, unless something it watches
/// changes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// With growing pauses up to this long.
    Backoff { cap: Duration },
    /// Only the user can help: at the next resync.
    Resync,
}

impl Retry {
    /// The longest pause; that of a resync is none.
    pub fn cap(self) -> Duration {
        match self {
            Self::Backoff { cap } => cap,
            Self::Resync => Duration::MAX,
        }
    }
}

/// The other side may be back any moment; users wait for it.
const SOON: Retry = Retry::Backoff { cap: Duration::from_secs(15) };
const LATER: Retry = Retry::Backoff { cap: Duration::from_mins(1) };

impl Reason {
    /// The one place that decides how a problem is retried.
    pub fn retry(self) -> Retry {
        match self {
            Self::KafkaUnreachable
            | Self::ClickHouseUnreachable
            | Self::RolloutInProgress
            | Self::Pending
            | Self::NameConflict
            | Self::Deleting
            | Self::SecretNotFound => SOON,
            Self::SecretInvalid
            | Self::KafkaRefused
            | Self::ClickHouseRefused
            | Self::AuthenticationFailed
            | Self::TableChanged
            | Self::TableNotFound
            | Self::TopicNotFound
            | Self::TopicChanged
            | Self::ObjectRefused
            | Self::DeletionBlocked
            | Self::UnsupportedServer
            | Self::SchemaIncompatible
            | Self::BlockRefused
            | Self::RetentionGap
            | Self::DeadLettersBlocked
            | Self::DeadLettersLimited
            | Self::IntentForeign
            | Self::PlanRevisionMissing
            | Self::SettleFailed
            | Self::WindowExceeded => LATER,
            Self::InvalidSpec
            | Self::Reconciled
            | Self::Paused
            | Self::ReconciliationPaused
            | Self::RecordWins
            | Self::EngineNotExact
            | Self::MaterializedView
            | Self::RowPolicy
            | Self::TableSettings
            | Self::SelfTestFailed => Retry::Resync,
        }
    }
}

/// Something that keeps a condition from being true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Problem {
    pub reason: Reason,
    /// What is wrong, and what to do next.
    pub message: String,
}

impl Problem {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl From<Downgrade> for Problem {
    fn from(Downgrade { obstacle, message }: Downgrade) -> Self {
        let reason = match obstacle {
            Obstacle::Engine => Reason::EngineNotExact,
            Obstacle::MaterializedView => Reason::MaterializedView,
            Obstacle::Settings => Reason::TableSettings,
        };
        Self::new(reason, message)
    }
}

impl From<KafkaError> for Problem {
    fn from(error: KafkaError) -> Self {
        let (reason, advice) = match &error {
            KafkaError::Unreachable { .. } => (
                Reason::KafkaUnreachable,
                "check that the brokers run and that bootstrapServers is right; it is tried again every 15 s",
            ),
            KafkaError::Authentication { .. } => (
                Reason::AuthenticationFailed,
                "put working admin credentials into the connection's Secret, with the rights to describe and \
                 create topics",
            ),
            KafkaError::Unauthorized { .. } => (
                Reason::AuthenticationFailed,
                "give the connection's admin user the right to describe, create, alter and delete these topics, to \
                 read and alter their configuration, and to delete consumer groups",
            ),
            KafkaError::Refused { .. } => (Reason::KafkaRefused, "change what Kafka refuses"),
            KafkaError::Settings { .. } => (Reason::SecretInvalid, "correct the connection's settings"),
        };
        Self::new(reason, format!("{error}; {advice}"))
    }
}

impl From<ClickHouseError> for Problem {
    fn from(error: ClickHouseError) -> Self {
        let (reason, advice) = match &error {
            ClickHouseError::Unreachable { .. } => (
                Reason::ClickHouseUnreachable,
                "check that the server runs and that url is right; it is tried again every 15 s",
            ),
            ClickHouseError::Authentication { .. } => (
                Reason::AuthenticationFailed,
                "put working admin credentials into the connection's Secret, with the rights to create \
                 databases and tables",
            ),
            ClickHouseError::Refused { .. } => (Reason::ClickHouseRefused, "change what ClickHouse refuses"),
            ClickHouseError::Settings { .. } => (Reason::SecretInvalid, "correct the connection's settings"),
        };
        Self::new(reason, format!("{error}; {advice}"))
    }
}
