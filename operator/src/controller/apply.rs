//! Built objects → the cluster, by server-side apply. Equal objects change no
//! resource version.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::build::{ApiWorkload, Component, MANAGER, Objects, Owner, Relation, Workload};
use super::error::Error;

/// The workloads as the API server has them after the apply.
#[derive(Clone, Debug)]
pub struct Applied {
    pub ingestor: Deployment,
    pub api: Option<Deployment>,
}

/// Puts the objects in place. What is not among them stays as it is.
pub async fn apply(client: &Client, owner: &Owner, objects: &Objects) -> Result<Applied, Error> {
    let Objects { ingestor, api } = objects;
    let ingestor = workload(client, owner, ingestor).await?;
    let Some(ApiWorkload { workload: parts, service }) = api else {
        return Ok(Applied { ingestor, api: None });
    };
    one(client, owner, service).await?;
    let api = workload(client, owner, parts).await?;
    Ok(Applied { ingestor, api: Some(api) })
}

/// The Deployment last, since its pods need the rest.
async fn workload(client: &Client, owner: &Owner, parts: &Workload) -> Result<Deployment, Error> {
    let Workload { plan, credentials, service_account, network_policy, disruption_budget, deployment } =
        parts;
    if let Some(plan) = plan {
        one(client, owner, plan).await?;
    }
    one(client, owner, credentials).await?;
    one(client, owner, service_account).await?;
    one(client, owner, network_policy).await?;
    one(client, owner, disruption_budget).await?;
    one(client, owner, deployment).await
}

/// Forced, since hand edits are put back; so whose the object is must be clear
/// before. The uid makes the API server refuse one that took its place meanwhile.
async fn one<K>(client: &Client, owner: &Owner, object: &K) -> Result<K, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &owner.namespace);
    let name = object.meta().name.as_deref().unwrap_or_default();
    let title = format!("{} {name:?}", K::kind(&()));
    let mut object = object.clone();
    if let Some((relation, uid)) = look(&api, owner, name).await? {
        match relation {
            Relation::Ours => object.meta_mut().uid = uid,
            Relation::Former => return Err(Error::Leaving { object: title }),
            Relation::Foreign => return Err(Error::Foreign { object: title }),
        }
    }
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(name, &parameters, &Patch::Apply(object))
        .await
        .map_err(Error::kubernetes(format!("apply {title}")))
}

/// Whose an object is, and its uid; `None` when there is none.
async fn look<K>(api: &Api<K>, owner: &Owner, name: &str) -> Result<Option<(Relation, Option<String>)>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let found = api.get_metadata_opt(name).await;
    let found = found.map_err(Error::kubernetes(format!("look up {} {name:?}", K::kind(&()))))?;
    Ok(found.map(|object| (owner.relation_to(&object.metadata), object.metadata.uid)))
}

/// The API is not wanted any more.
pub async fn remove_api(client: &Client, owner: &Owner) -> Result<(), Error> {
    let name = owner.object_name(Component::Api);
    delete::<Service>(client, owner, &name).await?;
    delete::<NetworkPolicy>(client, owner, &name).await?;
    delete::<PodDisruptionBudget>(client, owner, &name).await?;
    delete::<ServiceAccount>(client, owner, &name).await?;
    delete::<Secret>(client, owner, &format!("{name}-credentials")).await?;
    // Last: it is the sign that there was an API.
    delete::<Deployment>(client, owner, &name).await
}

/// Deletes an object if it is the pipeline's.
pub async fn delete<K>(client: &Client, owner: &Owner, name: &str) -> Result<(), Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &owner.namespace);
    let Some((Relation::Ours, uid)) = look(&api, owner, name).await? else { return Ok(()) };
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::background()
    };
    match api.delete(name, &parameters).await {
        Ok(_) => Ok(()),
        // Gone, or another one has its name by now.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::kubernetes(format!("delete {} {name:?}", K::kind(&())))(error)),
    }
}
