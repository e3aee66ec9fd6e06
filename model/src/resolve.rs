//! Resource + fleet defaults + recorded identity → resolved pipeline.
