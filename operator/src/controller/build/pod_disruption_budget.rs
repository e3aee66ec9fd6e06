//! Drains take one pod of a workload at a time, and are blocked neither by a
//! workload of one nor by a pod that is not ready anyway.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{Component, Owner};

pub fn build(owner: &Owner, component: Component) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: owner.metadata(component, owner.object_name(component)),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(owner.selector(component)),
            max_unavailable: Some(IntOrString::Int(1)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
