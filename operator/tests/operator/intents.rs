//! Former plans: mounted while an open intent may name them, then removed.
//!
//! No node runs here, so the test itself is the ingestor: a pod object with an
//! address of this machine, where it answers as an ingestor does.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use caudal_model::state::{IngestorState, OpenIntent, PartitionState, Phase};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::stage::{Scene, spec, with};

/// The pod's own, so that nobody else listens on the admin port there.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 42, 42, 42);
const ADMIN_PORT: u16 = 9090;

/// A pod that answers what it is told to.
struct Ingestor<'a> {
    scene: &'a Scene,
    answer: Arc<Mutex<String>>,
    looks: u32,
}

impl<'a> Ingestor<'a> {
    fn start(scene: &'a Scene, plan: &str) -> Self {
        let answer = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&answer);
        let state = axum::routing::get(move || {
            let told = Arc::clone(&told);
            async move { told.lock().unwrap().clone() }
        });
        let app = axum::Router::new().route("/state", state);
        let listener = scene.stage.block_on(tokio::net::TcpListener::bind((ADDRESS, ADMIN_PORT))).unwrap();
        scene.stage.spawn(async move { axum::serve(listener, app).await });
        scene.create::<Pod>(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "orders-ingestor-0",
                "labels": {
                    "app.kubernetes.io/name": "caudal", "app.kubernetes.io/component": "ingestor",
                    "app.kubernetes.io/instance": "orders", "app.kubernetes.io/managed-by": "caudal",
                    "caudal.dev/pipeline": "orders",
                },
                "annotations": {"caudal.dev/plan": plan},
            },
            "spec": {"containers": [{"name": "ingestor", "image": "ingestor"}]},
        }));
        let status = json!({"status": {
            "phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}],
        }});
        let pods: Api<Pod> = scene.api();
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&status));
        scene.stage.block_on(pods.patch_status("orders-ingestor-0", &parameters, &patch)).unwrap();
        Self { scene, answer, looks: 0 }
    }

    /// Answers so from now on, and lets the operator look.
    fn says(&mut self, plan: &str, partitions: [(Phase, Option<&str>); 2]) {
        let partition = |(number, (phase, revision)): (i32, (Phase, Option<&str>))| PartitionState {
            partition: number,
            phase,
            trouble: None,
            committed_offset: 0,
            intent: revision.map(|revision| OpenIntent { first: 0, next: 1, plan_revision: revision.into() }),
        };
        let state = IngestorState {
            plan_revision: revision_of(plan).to_owned(),
            delivery: caudal_model::resource::Delivery::ExactlyOnce,
            joined: true,
            trouble: None,
            partitions: (0..).zip(partitions).map(partition).collect(),
        };
        *self.answer.lock().unwrap() = serde_json::to_string(&state).unwrap();
        self.looks += 1;
        let annotations = json!({"caudal.dev/plan": plan, "test/looks": self.looks.to_string()});
        self.scene.merge::<Pod>("orders-ingestor-0", &json!({"metadata": {"annotations": annotations}}));
    }
}

fn revision_of(plan: &str) -> &str {
    plan.rsplit('-').next().unwrap()
}

/// Former plans that the ingestor's template mounts.
fn formers(scene: &Scene) -> Vec<String> {
    let pod = scene.ingestor("orders").and_then(|found| found.spec?.template.spec).unwrap();
    let volume = pod.volumes.into_iter().flatten().find(|volume| volume.name == "former-plans");
    let sources = volume.and_then(|volume| volume.projected?.sources).unwrap_or_default();
    sources.into_iter().filter_map(|source| Some(source.config_map?.name)).collect()
}

#[test]
fn a_plan_stays_mounted_while_an_intent_may_name_it() {
    let scene = Scene::new("intents");
    // No consumers are wanted, so the test's own is the only one.
    let spec = with(spec(), "/paused", json!(true));
    scene.apply("orders", &spec);
    scene.until_condition("orders", "ConsumersReady", "True", "Paused");
    let old = scene.mounted_plan("orders-ingestor");
    let mut pod = Ingestor::start(&scene, &old);
    let fields = json!([
        {"name": "id", "type": "UInt64"},
        {"name": "name", "type": "String"},
        {"name": "note", "type": "String", "nullable": true},
    ]);
    scene.apply("orders", &with(spec, "/schema/fields", fields));
    let new = scene.until("a new plan runs", || {
        let plan = scene.mounted_plan("orders-ingestor");
        (plan != old).then_some(plan)
    });
    assert_eq!(formers(&scene), std::slice::from_ref(&old));
    let template = || scene.ingestor("orders").unwrap().spec.unwrap().template;
    let first = template();

    // Nobody has looked at a partition; then one stops for an intent of the old plan.
    pod.says(&new, [(Phase::Running, None), (Phase::Starting, None)]);
    scene.settle("orders");
    pod.says(&new, [(Phase::Running, None), (Phase::Stopped, Some(revision_of(&old)))]);
    scene.settle("orders");
    assert!(scene.get::<ConfigMap>(&old).is_some());
    pod.says(&new, [(Phase::Running, None), (Phase::Running, Some(revision_of(&new)))]);
    scene.until("the old plan is collected", || scene.get::<ConfigMap>(&old).is_none().then_some(()));
    scene.settle("orders");
    assert_eq!(template(), first);

    // A plan older than those: one roll, and no more.
    let mut older: ConfigMap = scene.get(&new).unwrap();
    older.metadata = serde_json::from_value(json!({
        "name": "orders-plan-00000000ff", "labels": older.metadata.labels,
        "ownerReferences": older.metadata.owner_references,
    }))
    .unwrap();
    pod.says(&new, [(Phase::Running, None), (Phase::Starting, None)]);
    scene.settle("orders");
    scene.create::<ConfigMap>(&serde_json::to_value(&older).unwrap());
    pod.says(&new, [(Phase::Running, None), (Phase::Stopped, Some("00000000ff"))]);
    scene.until("it is mounted", || (formers(&scene).len() == 2).then_some(()));
    let second = template();
    pod.says(&new, [(Phase::Running, None), (Phase::Running, None)]);
    scene.until("it is collected", || {
        scene.get::<ConfigMap>("orders-plan-00000000ff").is_none().then_some(())
    });
    scene.settle("orders");
    assert_eq!(template(), second);
    assert!(scene.get::<ConfigMap>(&new).is_some());
}
