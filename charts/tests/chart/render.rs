//! What values become.

use caudal_model::Fleet;
use serde_json::{Value, json};

use crate::stage::{Values, chart, helm, object, render};

fn fleet(objects: &[Value]) -> Fleet {
    let text = object(objects, "ConfigMap")["data"]["fleet.yaml"].as_str().expect("the file is text");
    Fleet::from_yaml(text).expect("the operator can read it")
}

#[test]
fn the_chart_has_no_faults() -> anyhow::Result<()> {
    helm(&["lint", "--strict", &chart()]).map(drop)
}

#[test]
fn the_values_defaults_are_the_operators() -> anyhow::Result<()> {
    let fleet = fleet(&render(&json!({}))?);
    let smallest = "{installation: caudal, image: {name: n, tag: t}, connections: {}}";
    assert_eq!(fleet.defaults, Fleet::from_yaml(smallest)?.defaults);
    assert_eq!(fleet.installation, "caudal");
    assert_eq!(fleet.image.reference(), format!("ghcr.io/caudal-dev/caudal:{}", env!("CARGO_PKG_VERSION")));
    Ok(())
}

#[test]
fn values_reach_the_fleet_configuration() -> anyhow::Result<()> {
    let objects = render(&json!({
        "installation": "old-name",
        "image": {"tag": "sha256:abc", "pullPolicy": "Always", "pullSecrets": ["registry"]},
        "connections": {
            "kafka": {"default": {
                "namespaces": ["*"],
                "bootstrapServers": "kafka:9092",
                "securityProtocol": "SASL_SSL",
                "saslMechanism": "SCRAM-SHA-256",
                "secretName": "caudal-kafka",
            }},
            "clickhouse": {"shop": {"namespaces": ["shop"], "url": "https://clickhouse:8443"}},
        },
        "defaults": {"topic": {"replicationFactor": 1, "config": {"retention.ms": "1000"}}},
    }))?;
    let fleet = fleet(&objects);
    assert_eq!(fleet.installation, "old-name");
    assert_eq!(fleet.image.reference(), "ghcr.io/caudal-dev/caudal@sha256:abc");
    assert_eq!(fleet.image.pull_secrets, ["registry"]);
    assert_eq!(fleet.kafka_for("shop").map(|(name, _)| name), Some("default"));
    assert_eq!(fleet.clickhouse_for("shop").map(|(name, _)| name), Some("shop"));
    assert_eq!(fleet.clickhouse_for("other"), None);
    assert_eq!(fleet.defaults.topic.replication_factor, 1);
    assert_eq!(fleet.defaults.topic.partitions, 3);
    assert_eq!(fleet.defaults.topic.config["retention.ms"], "1000");

    let pod = &object(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "ghcr.io/caudal-dev/caudal@sha256:abc");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    Ok(())
}

#[test]
fn a_changed_configuration_starts_new_pods() -> anyhow::Result<()> {
    let template = |values: Value| -> anyhow::Result<Value> {
        Ok(object(&render(&values)?, "Deployment")["spec"]["template"].clone())
    };
    let first = template(json!({}))?;
    assert_eq!(first, template(json!({}))?);
    assert_ne!(first, template(json!({"defaults": {"topic": {"partitions": 6}}}))?);
    Ok(())
}

#[test]
fn operator_values_reach_its_pods() -> anyhow::Result<()> {
    let objects = render(&json!({"operator": {
        "replicas": 3,
        "logFormat": "text",
        "resources": {"limits": {"memory": "1Gi"}},
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "podAnnotations": {"note": "yes"},
        "podLabels": {"team": "data"},
    }}))?;
    let deployment = object(&objects, "Deployment");
    let template = &deployment["spec"]["template"];
    let pod = &template["spec"];
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(template["metadata"]["annotations"]["note"], "yes");
    assert_eq!(template["metadata"]["labels"]["team"], "data");
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["nodeSelector"], json!({"pool": "system"}));
    assert_eq!(pod["tolerations"], json!([{"key": "system", "operator": "Exists"}]));
    assert_eq!(pod["containers"][0]["resources"]["limits"]["memory"], "1Gi");
    assert!(
        pod["containers"][0]["args"]
            .as_array()
            .is_some_and(|args| args.contains(&json!("--log-format=text")))
    );
    Ok(())
}

#[test]
fn what_can_be_left_out_can_be_left_out() -> anyhow::Result<()> {
    let objects = render(&json!({"crd": {"install": false}, "networkPolicy": {"enabled": false}}))?;
    let kinds: Vec<_> = objects.iter().map(|object| &object["kind"]).collect();
    assert!(
        !kinds.iter().any(|kind| **kind == "CustomResourceDefinition" || **kind == "NetworkPolicy"),
        "{kinds:?}"
    );
    Ok(())
}

#[test]
fn rights_are_named_one_by_one() -> anyhow::Result<()> {
    for object in render(&json!({}))? {
        for rule in object["rules"].as_array().into_iter().flatten() {
            assert!(!rule.to_string().contains('*'), "a wildcard: {rule}");
        }
    }
    Ok(())
}

#[test]
fn mistakes_in_values_are_refused() -> anyhow::Result<()> {
    for (values, expected) in [
        (json!({"operater": {}}), "operater"),
        (json!({"operator": {"replica": 1}}), "replica"),
        (json!({"operator": {"replicas": 0}}), "replicas"),
        (json!({"image": {"pullPolicy": "Sometimes"}}), "pullPolicy"),
        (json!({"connections": {"kafka": {"default": {"bootstrapServers": "k:9092"}}}}), "namespaces"),
        (
            json!({"connections": {"clickhouse": {"default": {"namespaces": ["*"], "url": "clickhouse:8123"}}}}),
            "url",
        ),
        (
            json!({"connections": {"clickhouse": {"default": {"namespaces": ["*"], "url": "http://me:p@ch:8123"}}}}),
            "url",
        ),
        (json!({"connections": {"kafka": {"default": {"namespaces": ["*"], "password": "p"}}}}), "password"),
        (json!({"defaults": {"topic": {"config": {"retention.ms": 1000}}}}), "retention.ms"),
        (json!({"defaults": {"slo": {"freshness": {"within": "1d"}}}}), "within"),
    ] {
        let file = Values::new(&values)?;
        let said =
            helm(&["template", "caudal", &chart(), &file.argument()]).err().map(|error| format!("{error:#}"));
        assert!(said.as_ref().is_some_and(|said| said.contains(expected)), "{values}: {said:?}");
    }
    Ok(())
}
