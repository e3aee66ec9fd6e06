//! Built objects → the cluster, by server-side apply. Equal objects change no
//! resource version.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::build::{ApiWorkload, Component, MANAGER, Objects, Owner, Workload};
use super::error::Error;

/// The workloads as the API server has them after the apply.
#[derive(Clone, Debug)]
pub struct Applied {
    pub ingestor: Deployment,
    pub api: Option<Deployment>,
}

/// `had_api`: an API runs from before, and goes when there is none any more.
pub async fn apply(
    client: &Client,
    owner: &Owner,
    objects: &Objects,
    had_api: bool,
) -> Result<Applied, Error> {
    let Objects { ingestor, api } = objects;
    let namespace = &owner.namespace;
    let ingestor = workload(client, namespace, ingestor).await?;
    if let Some(ApiWorkload { workload: parts, service }) = api {
        one(client, namespace, service).await?;
        let api = workload(client, namespace, parts).await?;
        return Ok(Applied { ingestor, api: Some(api) });
    }
    if had_api {
        remove_api(client, owner).await?;
    }
    Ok(Applied { ingestor, api: None })
}

/// The Deployment last, since its pods need the rest.
async fn workload(client: &Client, namespace: &str, parts: &Workload) -> Result<Deployment, Error> {
    let Workload { plan, credentials, service_account, network_policy, disruption_budget, deployment } =
        parts;
    one(client, namespace, plan).await?;
    one(client, namespace, credentials).await?;
    one(client, namespace, service_account).await?;
    one(client, namespace, network_policy).await?;
    one(client, namespace, disruption_budget).await?;
    one(client, namespace, deployment).await
}

async fn one<K>(client: &Client, namespace: &str, object: &K) -> Result<K, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let name = object.meta().name.as_deref().unwrap_or_default();
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(name, &parameters, &Patch::Apply(object))
        .await
        .map_err(Error::kubernetes(format!("apply {} {name:?}", K::kind(&()))))
}

async fn remove_api(client: &Client, owner: &Owner) -> Result<(), Error> {
    let name = owner.object_name(Component::Api);
    let namespace = &owner.namespace;
    delete::<Service>(client, namespace, &name).await?;
    delete::<NetworkPolicy>(client, namespace, &name).await?;
    delete::<PodDisruptionBudget>(client, namespace, &name).await?;
    delete::<ServiceAccount>(client, namespace, &name).await?;
    delete::<Secret>(client, namespace, &format!("{name}-credentials")).await?;
    // Last: it is the sign that there was an API.
    delete::<Deployment>(client, namespace, &name).await
}

/// Deletes an object; one that is not there counts as deleted.
pub async fn delete<K>(client: &Client, namespace: &str, name: &str) -> Result<(), Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(Error::kubernetes(format!("delete {} {name:?}", K::kind(&())))(error)),
    }
}
