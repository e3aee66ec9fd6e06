//! What the handlers share.

use bytes::Bytes;
use caudal_model::Plan;
use caudal_model::plan::Alias;
use caudal_service::Credentials;
use prometheus_client::registry::Registry;

use crate::alias;
use crate::metrics::Metrics;
use crate::openapi;
use crate::store::Store;
use crate::table::Table;
use crate::watermark;

/// One pipeline, ready to be served.
pub struct App {
    pub table: Table,
    pub aliases: Vec<Alias>,
    pub store: Store,
    pub watermark: watermark::Cache,
    pub metrics: Metrics,
    pub openapi: Bytes,
}

impl App {
    /// Also returns the registry of its metrics.
    pub fn new(plan: &Plan, credentials: &Credentials) -> anyhow::Result<(Self, Registry)> {
        let table = Table::from_plan(plan)?;
        let aliases = plan.api.as_ref().map(|api| api.aliases.clone()).unwrap_or_default();
        alias::check(&aliases)?;
        let (metrics, registry) = Metrics::new(&plan.pipeline);
        let app = Self {
            openapi: openapi::document(&plan.pipeline, &table, &aliases).to_string().into(),
            table,
            aliases,
            store: Store::new(plan, credentials, metrics.clone())?,
            watermark: watermark::Cache::default(),
            metrics,
        };
        Ok((app, registry))
    }
}
