//! Watches → reconciles of one pipeline at a time each, in steps:
//! fetch → validate → record → create outside → build → apply → status.

mod apply;
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
mod reason;
mod reconcile;
mod run;
mod sources;
mod status;
mod survey;
mod validate;

pub use error::Backoff;
pub use run::run;
