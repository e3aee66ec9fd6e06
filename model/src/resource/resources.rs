//! CPU and memory of pods.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a pod asks for and may use.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside for the pod.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub requests: ResourceList,
    /// What the pod may not exceed.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub limits: ResourceList,
}

/// Amounts of CPU and memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceList {
    /// Cores, like `250m` or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub cpu: Option<Amount>,
    /// Bytes, like `256Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub memory: Option<Amount>,
}

/// A quantity, written as text or as a whole number.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Amount(Quantity);

impl Amount {
    pub fn as_str(&self) -> &str {
        &self.0.0
    }
}

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Self(Quantity(text.to_owned()))
    }
}

fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 24,
    })
}

impl ResourceList {
    /// What is said here, and where nothing is said, what `defaults` say.
    #[must_use]
    fn or(&self, defaults: &Self) -> Self {
        Self {
            cpu: self.cpu.clone().or_else(|| defaults.cpu.clone()),
            memory: self.memory.clone().or_else(|| defaults.memory.clone()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none()
    }
}

impl Resources {
    /// What is said here, and where nothing is said, what `defaults` say.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        Self { requests: self.requests.or(&defaults.requests), limits: self.limits.or(&defaults.limits) }
    }

    /// The amounts of memory in it.
    pub fn memory(&self) -> impl Iterator<Item = &str> {
        [&self.requests.memory, &self.limits.memory].into_iter().flatten().map(Amount::as_str)
    }

    /// The amounts of CPU in it.
    pub fn cpu(&self) -> impl Iterator<Item = &str> {
        [&self.requests.cpu, &self.limits.cpu].into_iter().flatten().map(Amount::as_str)
    }

    /// As a container's spec holds it.
    pub fn to_requirements(&self) -> ResourceRequirements {
        let list = |list: &ResourceList| {
            let pairs = [("cpu", &list.cpu), ("memory", &list.memory)];
            let amounts =
                pairs.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), amount.clone()?.0)));
            (!list.is_empty()).then(|| amounts.collect())
        };
        ResourceRequirements { claims: None, requests: list(&self.requests), limits: list(&self.limits) }
    }
}
