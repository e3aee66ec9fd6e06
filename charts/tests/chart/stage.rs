//! A control plane, kubectl and Helm.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use caudal_testbed::kubernetes::ControlPlane;
use caudal_testbed::wait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long anything may take that should come about.
const LIMIT: Duration = Duration::from_mins(3);

/// One control plane for all tests.
pub fn plane() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| ControlPlane::start().expect("start the control plane"))
}

pub fn chart() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("caudal").to_string_lossy().into_owned()
}

pub fn helm(arguments: &[&str]) -> anyhow::Result<String> {
    plane().client().helm(arguments)
}

pub fn kubectl(arguments: &[&str]) -> anyhow::Result<String> {
    plane().client().kubectl(arguments)
}

/// Values that differ from the chart's, as a file.
pub struct Values {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Values {
    pub fn new(values: &Value) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("values.json");
        std::fs::write(&path, values.to_string())?;
        Ok(Self { _folder: folder, path })
    }

    pub fn argument(&self) -> String {
        format!("--values={}", self.path.display())
    }
}

/// The rendered objects.
pub fn render(values: &Value) -> anyhow::Result<Vec<Value>> {
    let values = Values::new(values)?;
    let text = helm(&["template", "caudal", &chart(), "--namespace=caudal-system", &values.argument()])?;
    documents(&text)
}

pub fn documents<T: DeserializeOwned>(yaml: &str) -> anyhow::Result<Vec<T>> {
    let documents = serde_yaml_ng::Deserializer::from_str(yaml);
    Ok(documents.map(T::deserialize).collect::<Result<Vec<_>, _>>()?)
}

/// The one object of a kind.
pub fn object<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind} was rendered"));
    assert!(found.next().is_none(), "more than one {kind}");
    object
}

/// A namespace whose pods must pass the pod security standard `restricted`.
pub fn create_namespace(name: &str) -> anyhow::Result<()> {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    plane().client().kubectl_apply(&namespace.to_string())?;
    // Pods need it, and a controller makes it.
    until("the default ServiceAccount", || {
        Ok(kubectl(&["--namespace", name, "get", "serviceaccount", "default"]).ok())
    })?;
    Ok(())
}

/// Waits until `found` gives a value.
pub fn until<T>(what: &str, found: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    wait::until(what, LIMIT, found)
}
