//! A checked pipeline and its plan → every Kubernetes object it owns. Pure.

mod credentials;
mod deployment;
mod labels;
mod network_policy;
mod plan;
mod pod_disruption_budget;
mod service;
mod service_account;

use std::collections::BTreeMap;

use caudal_model::Plan;
use caudal_model::fleet::Image;
use caudal_model::resource::Resources;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

pub use credentials::Files;
pub use labels::{
    Component, MANAGED_BY_LABEL, MANAGER, Owner, PIPELINE_LABEL, PLAN_ANNOTATION, selector_text,
};
pub use plan::{KEY as PLAN_KEY, name as plan_name};

/// All that the objects of one pipeline are made of.
#[derive(Clone, Debug)]
pub struct Blueprint {
    pub owner: Owner,
    pub image: Image,
    pub operator_namespace: String,
    pub plan: Plan,
    pub ingestor: WorkloadSpec,
    /// Absent without `spec.api`.
    pub api: Option<WorkloadSpec>,
}

/// What differs between workloads.
#[derive(Clone, Debug)]
pub struct WorkloadSpec {
    pub replicas: i32,
    pub resources: Resources,
    /// The files of the credentials Secret.
    pub credentials: Files,
}

/// The objects of one pipeline.
#[derive(Clone, Debug)]
pub struct Objects {
    pub ingestor: Workload,
    pub api: Option<ApiWorkload>,
}

/// What each of the two workloads consists of.
#[derive(Clone, Debug)]
pub struct Workload {
    pub plan: ConfigMap,
    pub credentials: Secret,
    pub service_account: ServiceAccount,
    pub network_policy: NetworkPolicy,
    pub disruption_budget: PodDisruptionBudget,
    pub deployment: Deployment,
}

/// The API also has a Service.
#[derive(Clone, Debug)]
pub struct ApiWorkload {
    pub workload: Workload,
    pub service: Service,
}

/// Equal blueprints give equal objects, so an unchanged re-apply rolls nothing.
pub fn build(blueprint: &Blueprint) -> Objects {
    let Blueprint { owner, image: _, operator_namespace: _, plan, ingestor, api } = blueprint;
    Objects {
        ingestor: workload(blueprint, Component::Ingestor, &plan.for_ingestor(), ingestor),
        api: api.as_ref().map(|api| ApiWorkload {
            workload: workload(blueprint, Component::Api, &plan.for_api_server(), api),
            service: service::build(owner),
        }),
    }
}

fn workload(blueprint: &Blueprint, component: Component, plan: &Plan, spec: &WorkloadSpec) -> Workload {
    let Blueprint { owner, image, operator_namespace, .. } = blueprint;
    let plan = plan::build(owner, component, plan);
    let plan_name = plan.metadata.name.clone().unwrap_or_default();
    Workload {
        deployment: deployment::build(owner, component, image, &plan_name, spec),
        plan,
        credentials: credentials::build(owner, component, &spec.credentials),
        service_account: service_account::build(owner, component),
        network_policy: network_policy::build(owner, component, operator_namespace),
        disruption_budget: pod_disruption_budget::build(owner, component),
    }
}

/// A reference by which an object goes when its pipeline goes.
fn controlled_by(owner: &Owner) -> OwnerReference {
    OwnerReference {
        api_version: "caudal.dev/v1alpha1".to_owned(),
        kind: "DataPipeline".to_owned(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A map of text from pairs.
fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests;
