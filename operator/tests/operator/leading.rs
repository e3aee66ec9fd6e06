//! One of several operators leads; another takes over when it ends.

use caudal_model::DataPipeline;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio_util::sync::CancellationToken;

use crate::stage::{OPERATOR_NAMESPACE, Scene, spec};

#[test]
fn a_second_operator_stands_by_and_leaves_without_ever_leading() {
    let scene = Scene::new("leading");
    let stage = scene.stage;
    let holder = || {
        let leases: Api<Lease> = Api::namespaced(stage.client(), OPERATOR_NAMESPACE);
        let lease = stage.block_on(leases.get_opt("caudal-operator")).unwrap()?;
        lease.spec?.holder_identity
    };
    scene.until("the first leads", || (holder()? == "operator-0").then_some(()));
    let shutdown = CancellationToken::new();
    let second = caudal_operator::run(stage.settings("operator-1"), stage.client(), shutdown.clone());
    let second = stage.spawn(second);
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    assert_eq!(holder().as_deref(), Some("operator-0"));
    shutdown.cancel();
    stage.block_on(second).unwrap().unwrap();
    assert!(scene.get::<DataPipeline>("orders").is_some());
}
