//! The resource's types and [`RULES`](super::rules::RULES) → its definition
//! (CRD), as YAML.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::DataPipeline;
use super::rules::{RULES, Rule};

const HEADER: &str = "# Generated from model/src/resource by `make generate`; do not edit.\n";

/// The definition as an object.
pub fn definition() -> Value {
    let mut crd = serde_json::to_value(DataPipeline::crd()).expect("a definition is plain data");
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    tidy(schema);
    for rule in RULES {
        for place in rule.at {
            add(find(schema, place), rule);
        }
    }
    crd
}

/// Every generated file: path from the repository's root, and content.
pub fn generated_files() -> [(&'static str, String); 2] {
    [("crds/datapipelines.caudal.dev.yaml", manifest()), ("charts/caudal/templates/crd.yaml", chart_template())]
}

fn manifest() -> String {
    format!("{HEADER}{}", yaml(&definition()))
}

/// Kept when the chart is uninstalled, for
/// deleting a definition deletes every resource of it.
fn chart_template() -> String {
    let mut crd = definition();
    crd["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    let text = yaml(&crd).replace("{{", r#"{{ "{{" }}"#);
    format!("{{{{- if .Values.crd.install }}}}\n{HEADER}{text}{{{{- end }}}}\n")
}

fn yaml(value: &Value) -> String {
    serde_yaml_ng::to_string(value).expect("a definition has string keys")
}

/// Optional fields come out as nullable; an absent field and `null` would then
/// be two things, which no part of Caudal tells apart.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("nullable") == Some(&Value::Bool(true)) {
                members.shift_remove("nullable");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => (),
    }
}

fn find<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').filter(|step| !step.is_empty()).fold(schema, |schema, step| match step.strip_suffix("[]") {
        Some(list) => &mut schema["properties"][list]["items"],
        None => &mut schema["properties"][step],
    })
}

fn add(schema: &mut Value, rule: &Rule) {
    assert!(schema.is_object(), "a rule stands where the schema has nothing: {rule:?}");
    let mut entry = json!({"rule": rule.expression, "message": rule.message});
    if let Some(field) = rule.field {
        entry["fieldPath"] = field.into();
    }
    let rules = &mut schema["x-kubernetes-validations"];
    match rules.as_array_mut() {
        Some(rules) => rules.push(entry),
        None => *rules = json!([entry]),
    }
}
