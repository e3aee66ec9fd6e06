//! Serves the rows of one pipeline over HTTP: a plan + a ClickHouse user that
//! may SELECT → the read API of docs/api.md.
//!
//! A request goes [`routes`] → handlers → [`query`] (pure) → [`store`].

pub mod alias;
pub mod app;
pub mod args;
pub mod cursor;
pub mod error;
mod handlers;
pub mod limits;
mod link;
pub mod metrics;
mod observe;
pub mod openapi;
pub mod query;
pub mod routes;
pub mod store;
pub mod table;
pub mod watermark;

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use caudal_model::Plan;
use caudal_service::Credentials;
use caudal_service::{admin, http};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::args::Args;

/// Runs until `shutdown`, then until the requests in flight are answered.
///
/// Ready means: the plan is loaded and the port is served. ClickHouse being
/// away does not make it unready: every pod would leave the Service at once,
/// clients would get no answer instead of 503, and no rollout could end.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let path = args.plan.display();
    let text = std::fs::read_to_string(&args.plan).with_context(|| format!("read the plan {path}"))?;
    let plan = Plan::from_json(&text).with_context(|| format!("load the plan {path}"))?;
    let credentials = match &args.credentials {
        Some(directory) => Credentials::read(directory)?,
        None => Credentials::default(),
    };
    let (app, registry) = App::new(&plan, &credentials).with_context(|| format!("serve the plan {path}"))?;
    let listener =
        TcpListener::bind(args.address).await.with_context(|| format!("listen on {}", args.address))?;
    let address = listener.local_addr().context("ask for the port")?;

    // The admin port outlives the public one, so that the last requests are
    // still counted and a probe sees why nothing new is taken.
    let admin_shutdown = CancellationToken::new();
    let readiness: admin::Readiness = Arc::new({
        let shutdown = shutdown.clone();
        move || if shutdown.is_cancelled() { Err("shutting down".to_owned()) } else { Ok(()) }
    });
    let mut admin = tokio::spawn(admin::serve(
        args.admin_address,
        Arc::new(registry),
        readiness,
        Router::new(),
        admin_shutdown.clone(),
    ));
    tracing::info!(
        namespace = plan.pipeline.namespace,
        pipeline = plan.pipeline.name,
        plan_revision = plan.revision(),
        %address,
        admin_address = %args.admin_address,
        version = caudal_service::VERSION,
        "serving"
    );
    let app = Arc::new(app);
    let public = http::serve(listener, routes::router(Arc::clone(&app)), limits::PORT, shutdown);
    tokio::select! {
        () = public => {}
        () = watermark::keep_current(&app) => {}
        ended = &mut admin => {
            ended.context("the admin port's task failed")??;
            anyhow::bail!("the admin port ended");
        }
    }
    admin_shutdown.cancel();
    admin.await.context("the admin port's task failed")??;
    tracing::info!("all requests are answered");
    Ok(())
}
