//! Watches → reconciles of one pipeline at a time each, in steps:
//! fetch → validate → record → create outside → build → apply → status.

mod apply;
mod blueprint;
mod build;
mod claims;
mod collect;
mod conditions;
mod connections;
mod create;
mod decide;
mod error;
mod fetch;
mod finalize;
mod heartbeat;
mod observe;
mod plans;
mod reason;
mod reconcile;
mod record;
mod run;
mod sources;
mod status;
mod survey;
mod taken;
mod validate;

pub use error::Backoff;
pub use run::run;
pub use taken::TakenClaims;
