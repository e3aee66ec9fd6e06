//! Black-box scenarios on one real stack, each in a namespace of its own.

mod examples;
mod faults;
mod lifecycle;
mod outages;
mod ownership;
mod refusals;
