//! The chart has no code of its own; its tests are in `tests/chart`.
