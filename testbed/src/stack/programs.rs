//! The workspace → its programs, as Cargo builds them for tests.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;

use crate::process::Keeper;
use crate::progress;

/// The programs that go into the image.
const IN_PODS: [&str; 3] = ["caudal-operator", "caudal-ingestor", "caudal-api-server"];

pub struct Programs {
    pub in_pods: Vec<PathBuf>,
    /// This crate's own program, which can be a stack's supervisor.
    pub testbed: PathBuf,
}

/// The repository's folder.
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Builds all programs of the workspace: with all at once, features are the
/// same as in `cargo test --workspace`, and nothing is compiled twice.
pub fn build() -> anyhow::Result<Programs> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = progress::run(
        "build Caudal's programs",
        Command::new(cargo)
            .args(["build", "--workspace", "--bins", "--locked", "--message-format=json-render-diagnostics"])
            .current_dir(repository()),
        &Arc::new(Keeper::of_processes()?),
    )?;
    let executables = executables(&output);
    let find =
        |name: &str| executables.get(name).cloned().with_context(|| format!("build {name}: not built"));
    Ok(Programs {
        in_pods: IN_PODS.iter().map(|name| find(name)).collect::<anyhow::Result<_>>()?,
        testbed: find("testbed")?,
    })
}

/// This crate's own program: this process, or beside it where Cargo puts it for
/// tests.
pub fn own() -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("find this program")?;
    let beside = this.ancestors().take(3).skip(1).map(|folder| folder.join("testbed"));
    let mut places = beside.chain(this.ends_with("testbed").then(|| this.clone()));
    places.find(|path| path.is_file()).context("find the program testbed: build it first")
}

/// Cargo's messages → programs by name.
fn executables(messages: &str) -> HashMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            let path = message["executable"].as_str()?;
            Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_programs_among_cargo_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"caudal_model"},"executable":null}"#,
            "\nnot JSON\n",
            r#"{"reason":"compiler-artifact","target":{"name":"testbed"},"executable":"/t/testbed"}"#,
        );
        assert_eq!(
            executables(messages),
            HashMap::from([("testbed".to_owned(), PathBuf::from("/t/testbed"))])
        );
    }
}
