//! The resource definition on a real API server: it is accepted, refuses what
//! is wrong with advice, takes what is right, fills in defaults, explains itself.

mod cases;

use cases::{Case, base, changes, creations, set};
use caudal_model::resource::crd;
use caudal_model::resource::rules::RULES;
use caudal_testbed::kubernetes::ControlPlane;
use serde_json::{Value, json};

struct Cluster {
    plane: ControlPlane,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> anyhow::Result<Self> {
        let cluster = Self { plane: ControlPlane::start()?, folder: tempfile::tempdir()? };
        let [(_, definition), _] = crd::generated_files();
        let path = cluster.file("definition.yaml", &definition)?;
        cluster.plane.client().kubectl(&["apply", "--server-side", "--filename", &path])?;
        let name = "crd/datapipelines.caudal.dev";
        cluster.plane.client().kubectl(&["wait", "--for=condition=Established", name, "--timeout=60s"])?;
        Ok(cluster)
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Runs kubectl once over all manifests; its words, whether it failed or not.
    fn submit(&self, arguments: &[&str], manifests: &[Value]) -> anyhow::Result<Result<String, String>> {
        let path = self.file(
            "manifests.json",
            &json!({"apiVersion": "v1", "kind": "List", "items": manifests}).to_string(),
        )?;
        let arguments = [arguments, &["--filename", &path]].concat();
        Ok(self.plane.client().kubectl(&arguments).map_err(|error| format!("{error:#}")))
    }
}

/// Name and fault of each manifest that kubectl could not submit.
fn refusals(said: &str) -> Vec<(&str, &str)> {
    let parts: Vec<_> = said.split("\" is invalid: ").collect();
    let named = parts.windows(2).filter_map(|pair| Some((pair[0].rsplit_once('"')?.1, pair[1])));
    named.collect()
}

fn manifest(case: &Case, number: usize, edits: &[(&str, Value)]) -> Value {
    let mut manifest = base(&format!("case-{number}"));
    for (pointer, value) in case.before.iter().chain(edits) {
        set(&mut manifest, pointer, value.clone());
    }
    manifest
}

fn check_refused(said: &str, cases: &[Case]) {
    let refusals = refusals(said);
    for (number, case) in cases.iter().enumerate() {
        let name =
            manifest(case, number, &case.wrong)["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let refusal = refusals.iter().find(|(refused, _)| *refused == name).map(|(_, refusal)| refusal);
        let Some(refusal) = refusal else { panic!("{name} was not refused: {:?}\n{said}", case.wrong) };
        assert!(
            refusal.contains(case.message),
            "{:?}\nis not refused with\n{}\nbut\n{refusal}",
            case.wrong,
            case.message
        );
        assert!(refusal.contains(&case.at), "{:?} is refused, but not at {}\n{refusal}", case.wrong, case.at);
    }
}

#[test]
fn every_rule_has_a_case() {
    let cases: Vec<_> = creations().into_iter().chain(changes()).collect();
    for rule in RULES {
        for place in rule.at {
            let (list, leaf) = place.split_once("[]").unwrap_or((place, ""));
            let at = |case: &Case| case.at.starts_with(list) && case.at.contains(leaf);
            let covered = cases.iter().any(|case| case.message == rule.message && at(case));
            assert!(covered, "no case shows {:?} at {place:?}", rule.message);
        }
    }
}

#[test]
fn the_api_server_checks_explains_and_fills_in() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    refuses_what_is_wrong(&cluster)?;
    takes_what_is_right(&cluster)?;
    takes_as_many_fields_as_there_may_be(&cluster)?;
    keeps_what_is_fixed(&cluster)?;
    fills_in_defaults(&cluster)?;
    bounds_names_and_numbers(&cluster)?;
    scales(&cluster)?;
    explains(&cluster)
}

fn refuses_what_is_wrong(cluster: &Cluster) -> anyhow::Result<()> {
    let cases = creations();
    let wrong: Vec<_> =
        cases.iter().enumerate().map(|(number, case)| manifest(case, number, &case.wrong)).collect();
    let said = cluster.submit(&["create", "--dry-run=server"], &wrong)?.expect_err("all are wrong");
    check_refused(&said, &cases);
    Ok(())
}

fn takes_what_is_right(cluster: &Cluster) -> anyhow::Result<()> {
    let cases = creations();
    let right: Vec<_> =
        cases.iter().enumerate().map(|(number, case)| manifest(case, number, &case.right)).collect();
    let said = cluster.submit(&["create", "--dry-run=server"], &right)?;
    assert!(said.is_ok(), "{said:?}");
    Ok(())
}

/// Rules that compare fields with each other have a cost that fields must stay below.
fn takes_as_many_fields_as_there_may_be(cluster: &Cluster) -> anyhow::Result<()> {
    let mut manifest = base("many");
    let name = |number: usize| format!("{number:a>64}");
    let field = |number: usize| {
        let from = format!("{}.{}.{number}", "k".repeat(120), "l".repeat(120));
        json!({"name": name(number), "type": "DateTime64(3)", "from": from, "timestampFormat": "UnixSeconds"})
    };
    set(&mut manifest, "/spec/schema/fields", (0..256).map(field).collect());
    let order: Value = (0..16).map(|number| json!(name(255 - number))).collect();
    for (pointer, value) in [
        ("/spec/sink/clickhouse/orderBy", order),
        ("/spec/sink/clickhouse/partitionBy/field", json!(name(255))),
        ("/spec/sink/clickhouse/ttl/field", json!(name(255))),
        ("/spec/api/key", json!(name(255))),
    ] {
        set(&mut manifest, pointer, value);
    }
    let said = cluster.submit(&["create", "--dry-run=server"], &[manifest])?;
    assert!(said.is_ok(), "{said:?}");
    Ok(())
}

fn keeps_what_is_fixed(cluster: &Cluster) -> anyhow::Result<()> {
    let cases = changes();
    let numbered = || cases.iter().enumerate();
    let before: Vec<_> = numbered().map(|(number, case)| manifest(case, number, &[])).collect();
    let said = cluster.submit(&["apply"], &before)?;
    assert!(said.is_ok(), "{said:?}");
    let wrong: Vec<_> = numbered().map(|(number, case)| manifest(case, number, &case.wrong)).collect();
    let said = cluster.submit(&["apply", "--dry-run=server"], &wrong)?.expect_err("all are wrong");
    check_refused(&said, &cases);
    let right: Vec<_> = numbered().map(|(number, case)| manifest(case, number, &case.right)).collect();
    let said = cluster.submit(&["apply", "--dry-run=server"], &right)?;
    assert!(said.is_ok(), "{said:?}");
    Ok(())
}

fn fills_in_defaults(cluster: &Cluster) -> anyhow::Result<()> {
    let shortest = json!({
        "apiVersion": "caudal.dev/v1alpha1",
        "kind": "DataPipeline",
        "metadata": {"name": "shortest", "namespace": "default"},
        "spec": {
            "schema": {"fields": [{"name": "id", "type": "String"}]},
            "sink": {"clickhouse": {"orderBy": ["id"]}},
            "api": {"key": "id", "auth": {"mode": "None"}},
        },
    });
    let said = cluster.submit(&["create"], &[shortest])?;
    assert!(said.is_ok(), "{said:?}");
    let found: Value = serde_json::from_str(&cluster.plane.client().kubectl(&[
        "get",
        "dp",
        "shortest",
        "--output=json",
    ])?)?;
    for (pointer, expected) in [
        ("/spec/source/kafka/startFrom/position", json!("Earliest")),
        ("/spec/source/kafka/isolationLevel", json!("ReadCommitted")),
        ("/spec/source/kafka/create", json!({})),
        ("/spec/schema/unknownFields", json!("Ignore")),
        ("/spec/sink/clickhouse/engine", json!("MergeTree")),
        ("/spec/sink/clickhouse/existingTable", json!(false)),
        ("/spec/deadLetter/policy", json!("Topic")),
        ("/spec/ingest/replicas", json!(1)),
        ("/spec/api/replicas", json!(1)),
        ("/spec/slo", json!({})),
        ("/spec/paused", json!(false)),
        ("/spec/deletionPolicy", json!("Retain")),
    ] {
        assert_eq!(found.pointer(pointer), Some(&expected), "{pointer}");
    }
    Ok(())
}

/// What the schema itself refuses, without a rule.
fn bounds_names_and_numbers(cluster: &Cluster) -> anyhow::Result<()> {
    let wrong = [
        ("/spec/schema/fields/1", json!({"name": "id", "type": "String"}), "Duplicate value"),
        ("/spec/schema/fields", json!([]), "at least 1"),
        ("/spec/schema/fields/0/name", json!("x".repeat(65)), "more than 64"),
        ("/spec/schema/fields/0/from", json!("x".repeat(257)), "more than 256"),
        (
            "/spec/schema/fields/1/timestampFormat",
            json!("Unix"),
            "supported values: \"Iso8601\", \"UnixSeconds\"",
        ),
        ("/spec/schema/unknownFields", json!("Keep"), "supported values: \"Ignore\", \"Reject\", \"Store\""),
        ("/spec/sink/clickhouse/orderBy", json!([]), "at least 1"),
        ("/spec/ingest/replicas", json!(0), "greater than or equal to 1"),
        ("/spec/ingest/batch/maxRows", json!(1_048_449), "less than or equal to 1048448"),
        ("/spec/sink/clickhouse/engine", json!("Log"), "supported values: \"MergeTree\""),
        ("/spec/api/auth", Value::Null, "auth"),
        ("/spec/api/auth/mode", json!("Basic"), "supported values: \"None\""),
        ("/spec/api/aliases", json!([{"path": "/a"}, {"path": "/a"}]), "Duplicate value"),
        ("/spec/deletionPolicy", json!("Orphan"), "supported values: \"Retain\", \"Delete\""),
    ];
    for (number, (pointer, value, message)) in wrong.into_iter().enumerate() {
        let mut manifest = base(&format!("bound-{number}"));
        set(&mut manifest, pointer, value);
        let said = cluster.submit(&["create", "--dry-run=server"], &[manifest])?.expect_err(pointer);
        assert!(said.contains(message), "{pointer}: {message}\n{said}");
    }
    Ok(())
}

fn scales(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.plane.client().kubectl(&["scale", "dp/shortest", "--replicas=3"])?;
    let replicas = cluster.plane.client().kubectl(&[
        "get",
        "dp",
        "shortest",
        "--output=jsonpath={.spec.ingest.replicas}",
    ])?;
    assert_eq!(replicas.trim(), "3");
    Ok(())
}

fn explains(cluster: &Cluster) -> anyhow::Result<()> {
    for (field, expected) in [
        ("dp", "One stream of messages"),
        ("dp.spec.schema.fields.type", "DateTime64(precision[, 'zone'])"),
        ("dp.spec.schema.fields.from", r"Within a key `\.` is a dot and `\\` a backslash"),
        ("dp.spec.schema.unknownFields", "a column `_unknown`"),
        ("dp.spec.sink.clickhouse", "existingTable"),
        ("dp.spec.deletionPolicy", "Databases are never removed"),
        ("dp.status.resolved.topicCreated", "may delete it"),
    ] {
        let text = cluster.plane.client().kubectl(&["explain", field])?;
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(expected), "kubectl explain {field}:\n{text}");
    }
    Ok(())
}
