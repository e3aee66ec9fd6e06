//! The chart on a real API server: rendered, installed under the pod security
//! standard `restricted`, its rights used by the real operator, uninstalled.

mod install;
mod render;
mod rights;
mod stage;
