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
    [
        ("crds/datapipelines.caudal.dev.yaml", manifest()),
        ("charts/caudal/templates/crd.yaml", chart_template()),
    ]
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
/// be two things, which no part of Caudal tells apart. Descriptions come with
/// the line breaks of the source. kubectl replaces lists whole: with a default
/// filled into an item, every apply of an unchanged manifest would change it.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("nullable") == Some(&Value::Bool(true)) {
                members.shift_remove("nullable");
            }
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            let items = members.get_mut("items").and_then(|items| items.get_mut("properties"));
            for one in items.and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
                one.as_object_mut().and_then(|one| one.shift_remove("default"));
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => (),
    }
}

fn find<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').filter(|step| !step.is_empty()).fold(schema, |schema, step| {
        match step.strip_suffix("[]") {
            Some(list) => &mut schema["properties"][list]["items"],
            None => &mut schema["properties"][step],
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_up_to_date() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (path, text) in generated_files() {
            let there = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            assert!(there == text, "{path} is not what the types give; run `make generate`");
        }
    }

    #[test]
    fn templates_keep_braces_as_they_are() {
        assert!(!chart_template().replace(r#"{{ "{{" }}"#, "").trim_start_matches("{{- if").contains("{{ "));
    }

    /// Calls `visit` with the path and schema of everything below `schema`.
    fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
        visit(path, schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, visit);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(&format!("{path}[]"), &schema[inner], visit);
            }
        }
    }

    fn each(visit: &mut impl FnMut(&str, &Value)) {
        let schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        for part in ["spec", "status"] {
            walk(part, &schema["properties"][part], visit);
        }
    }

    #[test]
    fn every_field_is_described() {
        each(&mut |path, schema| {
            let described = schema["description"]
                .as_str()
                .is_some_and(|text| text.len() > 8 && !text.contains("rustdoc"));
            assert!(described || path.ends_with("[]"), "{path} has no description");
        });
    }

    #[test]
    fn everything_is_bounded() {
        each(&mut |path, schema| {
            let has = |bound: &str| !schema[bound].is_null();
            let bounded = match schema["type"].as_str() {
                Some("string") => has("maxLength") || has("enum") || has("format"),
                Some("array") => has("maxItems") && has("x-kubernetes-list-type"),
                Some("integer" | "number") => {
                    has("minimum") && (has("maximum") || path.starts_with("status"))
                }
                Some("object") => has("properties") || has("maxProperties"),
                Some("boolean") => true,
                _ => has("x-kubernetes-int-or-string") && has("maxLength"),
            };
            assert!(bounded, "{path} has no bounds: {schema}");
        });
    }

    #[test]
    fn no_field_is_nullable() {
        each(&mut |path, schema| assert!(schema["nullable"].is_null(), "{path}"));
    }

    #[test]
    fn every_rule_says_what_to_write() {
        let mut seen = std::collections::BTreeSet::new();
        for rule in RULES {
            assert!(seen.insert((rule.at, rule.message)), "two rules say the same: {rule:?}");
            let advises = ["write", "put", "leave", "needs"].iter().any(|word| rule.message.contains(word));
            assert!(advises, "{:?} does not say what to write", rule.message);
        }
        assert!(RULES.len() >= 20);
    }
}
