//! The plan as an immutable ConfigMap, named by its revision.

use std::collections::BTreeMap;

use caudal_model::Plan;
use k8s_openapi::api::core::v1::ConfigMap;

use super::labels::{Component, Owner};

/// The key that holds the plan, and the name of the file in the pod.
pub const KEY: &str = "plan.json";

/// `<pipeline>-plan-<revision>`.
pub fn name(owner: &Owner, revision: &str) -> String {
    format!("{}-plan-{revision}", owner.name)
}

pub fn build(owner: &Owner, component: Component, plan: &Plan) -> ConfigMap {
    ConfigMap {
        metadata: owner.metadata(component, name(owner, &plan.revision())),
        immutable: Some(true),
        data: Some(BTreeMap::from([(KEY.to_owned(), plan.to_json())])),
        binary_data: None,
    }
}
