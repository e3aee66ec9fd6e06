//! The `DataPipeline` custom resource: what a user writes and what they read
//! back. Descriptions here are what `kubectl explain` shows; what a schema
//! can't say stands in [`rules`].

mod api;
pub mod crd;
mod ingest;
mod resources;
pub mod rules;
mod schema;
mod sink;
mod slo;
mod source;
mod spec;
mod status;

pub use api::*;
pub use ingest::*;
pub use resources::*;
pub use schema::*;
pub use sink::*;
pub use slo::*;
pub use source::*;
pub use spec::*;
pub use status::*;

/// Replicas where nothing is said.
fn one() -> i32 {
    1
}
