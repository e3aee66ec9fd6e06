use caudal_model::plan;
use caudal_service::credentials::Login;
use serde_json::{Value, json};

use super::*;

fn blueprint() -> Blueprint {
    of(&plan())
}

fn of(plan: &Plan) -> Blueprint {
    let login = Login { username: "caudal".to_owned(), password: "secret".to_owned() };
    Blueprint {
        owner: Owner { namespace: "shop".to_owned(), name: "orders".to_owned(), uid: "u-1".to_owned() },
        image: serde_json::from_value(
            json!({"name": "example.org/caudal", "tag": "1.2.3", "pullSecrets": ["pull"]}),
        )
        .unwrap(),
        operator_namespace: "caudal-system".to_owned(),
        ingestor: WorkloadSpec {
            plan: MountedPlan::New(plan.for_ingestor().into()),
            former_plans: BTreeSet::new(),
            replicas: 2,
            resources: Resources::default(),
            credentials: Files::default().with("kafka", Some(&login), Some("pem")),
        },
        api: Some(WorkloadSpec {
            plan: MountedPlan::New(plan.for_api_server().into()),
            former_plans: BTreeSet::new(),
            replicas: 1,
            resources: Resources::default(),
            credentials: Files::default(),
        }),
    }
}

fn plan() -> Plan {
    serde_json::from_value(json!({
        "formatVersion": plan::FORMAT_VERSION,
        "pipeline": {"namespace": "shop", "name": "orders"},
        "source": {
            "connection": {"bootstrapServers": "kafka:9092", "securityProtocol": "PLAINTEXT"},
            "topic": "shop.orders", "topicId": "AAAAAAAAAAAAAAAAAAAAAA", "clusterId": "c",
            "group": "caudal.shop.orders", "startFrom": {"position": "earliest"},
            "isolationLevel": "ReadCommitted", "deadLetter": {"topic": "shop.orders.dead-letters"},
        },
        "fields": [{"name": "id", "type": "UInt64"}],
        "sink": {
            "connection": {"url": "http://clickhouse:8123"}, "database": "shop", "table": "orders",
            "tableUuid": "0", "ledgerTable": "orders__ledger", "orderBy": ["id"],
        },
        "ingest": {"maxRows": 1, "maxBytes": 1, "flushDelayMs": 1, "memoryLimitBytes": 1},
        "api": {"key": "id", "auth": {"mode": "None"}},
    }))
    .unwrap()
}

fn json_of(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}

#[test]
fn every_object_is_labelled_and_owned() {
    let Objects { ingestor, api } = build(&blueprint());
    let ApiWorkload { workload, service } = api.unwrap();
    let mut all = vec![json_of(&service)];
    for Workload { plan, credentials, service_account, network_policy, disruption_budget, deployment } in
        [ingestor, workload]
    {
        all.extend([
            json_of(&plan),
            json_of(&credentials),
            json_of(&service_account),
            json_of(&network_policy),
            json_of(&disruption_budget),
            json_of(&deployment),
        ]);
    }
    for object in all {
        let metadata = &object["metadata"];
        assert_eq!(metadata["namespace"], "shop", "{object}");
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "caudal", "{object}");
        assert_eq!(metadata["labels"]["caudal.dev/pipeline"], "orders", "{object}");
        assert_eq!(
            metadata["ownerReferences"],
            json!([{
                "apiVersion": "caudal.dev/v1alpha1", "kind": "DataPipeline", "name": "orders", "uid": "u-1",
                "controller": true, "blockOwnerDeletion": true,
            }])
        );
    }
}

#[test]
fn an_ingestor_is_replaced_without_surplus_pods_and_mounts_its_plan() {
    let deployment = json_of(&build(&blueprint()).ingestor.deployment);
    assert_eq!(deployment["metadata"]["name"], "orders-ingestor");
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
    );
    let name = format!("orders-plan-{}", plan().for_ingestor().revision());
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["volumes"][0], json!({"name": "plan", "configMap": {"name": name}}));
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "orders-ingestor-credentials");
    let container = &pod["containers"][0];
    assert_eq!(container["command"], json!(["caudal-ingestor"]));
    assert_eq!(
        container["args"],
        json!(["--plan", "/etc/caudal/plan/plan.json", "--credentials", "/etc/caudal/credentials"])
    );
    assert_eq!(container["readinessProbe"]["httpGet"], json!({"path": "/readyz", "port": "admin"}));
}

#[test]
fn pods_keep_to_pod_security_restricted() {
    let Objects { ingestor, api } = build(&blueprint());
    for deployment in [ingestor.deployment, api.unwrap().workload.deployment] {
        let deployment = json_of(&deployment);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["runAsUser"], 65532);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    }
}

#[test]
fn an_edit_rolls_only_the_pods_that_read_it() {
    let before = build(&blueprint());
    let templates = |objects: &Objects| {
        let template = |deployment: &Deployment| json_of(deployment)["spec"]["template"].clone();
        (template(&objects.ingestor.deployment), template(&objects.api.as_ref().unwrap().workload.deployment))
    };

    let mut batching = plan();
    batching.ingest.as_mut().unwrap().max_rows = 2;
    let after = build(&of(&batching));
    assert_ne!(templates(&after).0, templates(&before).0);
    assert_eq!(templates(&after).1, templates(&before).1);

    let mut alias = plan();
    alias.api.as_mut().unwrap().key = "other".to_owned();
    let after = build(&of(&alias));
    assert_eq!(templates(&after).0, templates(&before).0);
    assert_ne!(templates(&after).1, templates(&before).1);

    let mut scaled = blueprint();
    scaled.ingestor.replicas = 9;
    assert_eq!(templates(&build(&scaled)), templates(&before));

    let mut password = blueprint();
    let changed = Login { username: "caudal".to_owned(), password: "changed".to_owned() };
    password.ingestor.credentials = Files::default().with("kafka", Some(&changed), Some("pem"));
    let after = build(&password);
    assert_ne!(templates(&after).0, templates(&before).0);
    assert_eq!(templates(&after).1, templates(&before).1);
}

#[test]
fn a_running_plan_is_mounted_as_it_is() {
    let before = build(&blueprint());
    let mut running = blueprint();
    running.ingestor.plan = MountedPlan::Running(running.ingestor.plan.name(&running.owner));
    let after = build(&running);
    assert!(after.ingestor.plan.is_none());
    assert_eq!(json_of(&after.ingestor.deployment), json_of(&before.ingestor.deployment));
}

#[test]
fn former_plans_are_files_that_may_go() {
    let mut blueprint = blueprint();
    blueprint.ingestor.former_plans = ["0000000001".to_owned()].into();
    let pod = json_of(&build(&blueprint).ingestor.deployment)["spec"]["template"]["spec"].clone();
    assert_eq!(
        pod["volumes"][2],
        json!({"name": "former-plans", "projected": {"sources": [{"configMap": {
            "name": "orders-plan-0000000001", "optional": true,
            "items": [{"key": "plan.json", "path": "0000000001.json"}],
        }}]}})
    );
    let container = &pod["containers"][0];
    assert_eq!(container["volumeMounts"][2]["mountPath"], "/etc/caudal/plans");
    let arguments = container["args"].as_array().unwrap();
    assert_eq!(arguments[4..], [json!("--plans"), json!("/etc/caudal/plans")]);
}

#[test]
fn plans_are_immutable_and_each_pod_reads_only_its_part() {
    let Objects { ingestor, api } = build(&blueprint());
    let (mine, other) = (json_of(&ingestor.plan), json_of(&api.unwrap().workload.plan));
    assert_eq!(mine["immutable"], true);
    assert_ne!(mine["metadata"]["name"], other["metadata"]["name"]);
    let read = |object: &Value| Plan::from_json(object["data"]["plan.json"].as_str().unwrap()).unwrap();
    assert_eq!(read(&mine), plan().for_ingestor());
    assert_eq!(read(&other), plan().for_api_server());
}

#[test]
fn the_admin_port_is_for_operator_and_monitoring_only() {
    let Objects { ingestor, api } = build(&blueprint());
    let rules = json_of(&ingestor.network_policy)["spec"]["ingress"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 1);
    assert_eq!(rules[0]["ports"][0]["port"], "admin");
    assert_eq!(
        rules[0]["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
        "caudal-system"
    );
    let rules = json_of(&api.unwrap().workload.network_policy)["spec"]["ingress"].clone();
    assert_eq!(rules[1], json!({"ports": [{"port": "http", "protocol": "TCP"}]}));
}

#[test]
fn credentials_are_files_and_never_shown() {
    let blueprint = blueprint();
    assert!(!format!("{blueprint:?}").contains("secret\""));
    let secret = build(&blueprint).ingestor.credentials;
    let names: Vec<_> = secret.data.unwrap().into_keys().collect();
    assert_eq!(names, ["kafka-ca.crt", "kafka-password", "kafka-username"]);
}
