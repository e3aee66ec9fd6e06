//! Names, labels and metadata that every owned object has.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{controlled_by, map};

pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`], and the field manager.
pub const MANAGER: &str = "caudal";
/// On every owned object: the pipeline's name.
pub const PIPELINE_LABEL: &str = "caudal.dev/pipeline";
/// On pods: the ConfigMap with their plan.
pub const PLAN_ANNOTATION: &str = "caudal.dev/plan";

/// The pipeline that owns the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// Kind of the pipelines.
pub(super) const KIND: &str = "DataPipeline";

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Ours,
    /// That of a deleted pipeline of the same name; it goes by itself.
    Former,
    Foreign,
}

/// Which of the two workloads an object belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    Ingestor,
    Api,
}

impl Component {
    /// Ends object names and is the component label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingestor => "ingestor",
            Self::Api => "api",
        }
    }

    pub fn binary(self) -> &'static str {
        match self {
            Self::Ingestor => "caudal-ingestor",
            Self::Api => "caudal-api-server",
        }
    }
}

impl Owner {
    /// `<pipeline>-<component>`, the name of most objects.
    pub fn object_name(&self, component: Component) -> String {
        format!("{}-{}", self.name, component.as_str())
    }

    /// Whose an object is that has one of the pipeline's names.
    pub fn relation_to(&self, object: &ObjectMeta) -> Relation {
        let mut owners = object.owner_references.iter().flatten();
        match owners.find(|owner| owner.controller == Some(true)) {
            Some(controller) if controller.uid == self.uid => Relation::Ours,
            Some(controller) if controller.kind == KIND && controller.name == self.name => Relation::Former,
            Some(_) => Relation::Foreign,
            // A deletion that orphaned it took the reference away and left the labels.
            None => {
                let label = |name| object.labels.as_ref().and_then(|labels| labels.get(name));
                let orphan = label(MANAGED_BY_LABEL).is_some_and(|manager| manager == MANAGER)
                    && label(PIPELINE_LABEL) == Some(&self.name);
                if orphan { Relation::Ours } else { Relation::Foreign }
            }
        }
    }

    pub(super) fn metadata(&self, component: Component, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels(component)),
            owner_references: Some(vec![controlled_by(self)]),
            ..ObjectMeta::default()
        }
    }

    pub(super) fn labels(&self, component: Component) -> BTreeMap<String, String> {
        let mut labels = self.selector_labels(component);
        labels.extend(map([(MANAGED_BY_LABEL, MANAGER), (PIPELINE_LABEL, &self.name)]));
        labels
    }

    /// The labels that select pods; never to be changed, selectors are immutable.
    pub fn selector_labels(&self, component: Component) -> BTreeMap<String, String> {
        map([
            ("app.kubernetes.io/name", "caudal"),
            (COMPONENT_LABEL, component.as_str()),
            ("app.kubernetes.io/instance", &self.name),
        ])
    }

    pub(super) fn selector(&self, component: Component) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selector_labels(component)), match_expressions: None }
    }
}

/// `a=b,c=d`, as the API server takes it.
pub fn selector_text(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_alone_makes_no_object_ours() {
        let owner = Owner { namespace: "shop".into(), name: "orders".into(), uid: "u-1".into() };
        let relation = |metadata| owner.relation_to(&serde_json::from_value(metadata).unwrap());
        let controlled = |kind: &str, uid: &str| {
            json!({"ownerReferences": [
                {"apiVersion": "v1", "kind": kind, "name": "orders", "uid": uid, "controller": true},
            ]})
        };
        assert_eq!(relation(json!({"name": "orders-api"})), Relation::Foreign);
        assert_eq!(relation(controlled("DataPipeline", "u-1")), Relation::Ours);
        assert_eq!(relation(controlled("DataPipeline", "u-0")), Relation::Former);
        assert_eq!(relation(controlled("Application", "u-2")), Relation::Foreign);
        let labels = |pipeline: &str| json!({"labels": {"app.kubernetes.io/managed-by": "caudal", "caudal.dev/pipeline": pipeline}});
        assert_eq!(relation(labels("orders")), Relation::Ours);
        assert_eq!(relation(labels("other")), Relation::Foreign);
    }
}
