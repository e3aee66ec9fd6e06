//! `spec.api`: the read API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resources;

/// The read API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// The field behind `/v1/records/{key}`.
    #[schemars(length(min = 1, max = 64))]
    pub key: String,
    /// Who may read; always said, so that nothing is open by omission.
    pub auth: Auth,
    /// API pods.
    #[serde(default = "super::one")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// Paths of an earlier system that keep working: each answers the bare JSON list of rows, and `<path>/<key>` one row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub aliases: Vec<Alias>,
    /// CPU and memory of an API pod; the fleet's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// Who may read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// `None`: everybody who can reach the Service.
    pub mode: AuthMode,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum AuthMode {
    None,
}

/// A path of an earlier system.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// The path, like `/orders`.
    #[schemars(length(min = 2, max = 128))]
    pub path: String,
    /// Rows in an answer to a request that names no limit; the API's general default where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: Option<i64>,
}
