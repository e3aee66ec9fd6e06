//! A checked pipeline and its plan → every Kubernetes object it owns. Pure.

mod credentials;
mod deployment;
mod labels;
mod network_policy;
mod plan;
mod pod_disruption_budget;
mod service;
mod service_account;

use std::collections::{BTreeMap, BTreeSet};

use caudal_model::Plan;
use caudal_model::fleet::Image;
use caudal_model::resource::Resources;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

pub use credentials::Files;
pub use deployment::FORMER_PLANS_VOLUME;
pub use labels::{
    Component, MANAGED_BY_LABEL, MANAGER, Owner, PIPELINE_LABEL, PLAN_ANNOTATION, Relation, selector_text,
};
pub use plan::name as plan_name;

/// All that the objects of one pipeline are made of.
#[derive(Clone, Debug)]
pub struct Blueprint {
    pub owner: Owner,
    pub image: Image,
    pub operator_namespace: String,
    pub ingestor: WorkloadSpec,
    /// Absent without `spec.api`.
    pub api: Option<WorkloadSpec>,
}

/// The plan that a workload's pods read.
#[derive(Clone, Debug)]
pub enum MountedPlan {
    /// To be put in place first.
    New(Box<Plan>),
    /// Name of the ConfigMap that is mounted already. Its text is neither read
    /// nor written, so that another operator version starts no pods anew.
    Running(String),
}

impl MountedPlan {
    /// Name of the ConfigMap.
    pub fn name(&self, owner: &Owner) -> String {
        match self {
            Self::New(plan) => plan_name(owner, &plan.revision()),
            Self::Running(name) => name.clone(),
        }
    }
}

/// What differs between workloads.
#[derive(Clone, Debug)]
pub struct WorkloadSpec {
    pub plan: MountedPlan,
    /// Revisions of former plans that open intents may name.
    pub former_plans: BTreeSet<String>,
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
    /// Absent while the one that is there stays.
    pub plan: Option<ConfigMap>,
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
    let Blueprint { owner, image: _, operator_namespace: _, ingestor, api } = blueprint;
    Objects {
        ingestor: workload(blueprint, Component::Ingestor, ingestor),
        api: api.as_ref().map(|api| ApiWorkload {
            workload: workload(blueprint, Component::Api, api),
            service: service::build(owner),
        }),
    }
}

fn workload(blueprint: &Blueprint, component: Component, spec: &WorkloadSpec) -> Workload {
    let Blueprint { owner, image, operator_namespace, .. } = blueprint;
    Workload {
        plan: match &spec.plan {
            MountedPlan::New(plan) => Some(plan::build(owner, component, plan)),
            MountedPlan::Running(_) => None,
        },
        deployment: deployment::build(owner, component, image, spec),
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
        kind: labels::KIND.to_owned(),
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
