//! The `DataPipeline` custom resource: what a user writes and what they read back.

mod spec;
mod status;

pub use spec::*;
pub use status::*;
