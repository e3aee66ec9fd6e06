//! A pipeline's key → the pipeline as the API server has it now, and what is
//! around it. The cache is not trusted here: it may be older than our own last
//! write, and what is recorded must win.

use caudal_model::resource::DataPipeline;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::build::{Component, Owner, Relation};
use super::connections::{Part, SecretReference, secret_reference};
use super::error::Error;
use super::observe::{self, Ingestor};
use super::sources::Sources;
use crate::context::Context;

/// The pipeline, its workloads (never another's of that name) and what its
/// ingestors say.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub pipeline: DataPipeline,
    pub owner: Owner,
    pub ingestor: Option<Deployment>,
    pub ingestors: Vec<Ingestor>,
    pub api: Option<Deployment>,
}

/// `None` when the pipeline is gone.
pub async fn fetch(context: &Context, key: &ObjectRef<DataPipeline>) -> Result<Option<Fetched>, Error> {
    let namespace = key.namespace.clone().unwrap_or_default();
    let pipelines: Api<DataPipeline> = Api::namespaced(context.client.clone(), &namespace);
    let Some(pipeline) =
        pipelines.get_opt(&key.name).await.map_err(Error::kubernetes("get the DataPipeline"))?
    else {
        return Ok(None);
    };
    let owner = Owner { uid: pipeline.uid().unwrap_or_default(), name: key.name.clone(), namespace };
    let deployments: Api<Deployment> = Api::namespaced(context.client.clone(), &owner.namespace);
    let (ingestor_name, api_name) =
        (owner.object_name(Component::Ingestor), owner.object_name(Component::Api));
    let (ingestor, api) =
        tokio::try_join!(deployments.get_opt(&ingestor_name), deployments.get_opt(&api_name))
            .map_err(Error::kubernetes("get the Deployments"))?;
    let ours = |deployment: &Deployment| owner.relation_to(&deployment.metadata) == Relation::Ours;
    let (ingestor, api) = (ingestor.filter(ours), api.filter(ours));
    let ingestors = match &ingestor {
        Some(_) => observe::ingestors(context, &owner).await?,
        None => Vec::new(),
    };
    Ok(Some(Fetched { pipeline, owner, ingestor, ingestors, api }))
}

/// A Secret and where it was looked for; no reference means none is needed.
pub struct FetchedSecret {
    pub reference: Option<SecretReference>,
    pub secret: Option<Secret>,
}

/// The Secrets of both connections.
pub async fn secrets(context: &Context, sources: &Sources) -> Result<(FetchedSecret, FetchedSecret), Error> {
    let reference = |part, source| {
        secret_reference(part, source, &sources.namespace, &context.fleet, &context.operator_namespace)
    };
    let kafka = reference(Part::Kafka, &sources.kafka);
    let clickhouse = reference(Part::ClickHouse, &sources.clickhouse);
    tokio::try_join!(secret(context, kafka), secret(context, clickhouse))
}

async fn secret(context: &Context, reference: Option<SecretReference>) -> Result<FetchedSecret, Error> {
    let secret = match &reference {
        None => None,
        Some(SecretReference { namespace, name, .. }) => {
            let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
            secrets.get_opt(name).await.map_err(Error::kubernetes("get the connection's Secret"))?
        }
    };
    Ok(FetchedSecret { reference, secret })
}
