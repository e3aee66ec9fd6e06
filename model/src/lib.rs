//! The `DataPipeline` resource and everything that can be decided about it
//! without talking to anyone: validation, defaults, the plan, types and DDL.
//!
//! `DataPipeline` (what a user wrote) → [`resolve`] → [`Plan`] (what ingestor
//! and API server read). No clients, no async, no clock.

pub mod ddl;
pub mod duration;
pub mod fleet;
pub mod plan;
pub mod quantity;
pub mod resolve;
pub mod resource;
pub mod state;
pub mod timestamp;
pub mod types;
pub mod value;

pub use fleet::Fleet;
pub use plan::Plan;
pub use resource::DataPipeline;
pub use types::ColumnType;
