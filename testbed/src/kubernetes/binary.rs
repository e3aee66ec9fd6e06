//! The committed Go module → one program with every component of Kubernetes,
//! etcd, CoreDNS, kubectl and Helm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;

use crate::process::Keeper;
use crate::{cache, progress};

const VERSION: &str = "v1.36.3";
/// The module's file, which also says which Go it needs.
pub const GO_MODULE: &str = include_str!("../../kubernetes/go.mod");
const FILES: [(&str, &str); 3] = [
    ("go.mod", GO_MODULE),
    ("go.sum", include_str!("../../kubernetes/go.sum")),
    ("main.go", include_str!("../../kubernetes/main.go")),
];
/// Without inlining the compiler needs half the time.
const COMPILER_FLAGS: &str = "-gcflags=all=-l";

/// The program; downloads and compiles it the first time.
pub fn binary() -> anyhow::Result<PathBuf> {
    let linker_flags = linker_flags();
    let mut inputs: Vec<&str> = FILES.iter().map(|(_, text)| *text).collect();
    inputs.extend([COMPILER_FLAGS, &linker_flags]);
    let folder = cache::folder("kubernetes", &inputs, |folder, keeper| build(folder, &linker_flags, keeper))?;
    Ok(folder.join("kubernetes"))
}

fn build(folder: &Path, linker_flags: &str, keeper: &Arc<Keeper>) -> anyhow::Result<()> {
    for (name, text) in FILES {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    progress::run("download the Go modules of Kubernetes", go(folder).args(["mod", "download"]), keeper)?;
    progress::run(
        "compile Kubernetes (the first time about 11 minutes of one core)",
        go(folder).args([
            "build",
            "-trimpath",
            COMPILER_FLAGS,
            "-ldflags",
            linker_flags,
            "-o",
            "kubernetes",
            ".",
        ]),
        keeper,
    )
    .map(drop)
}

fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).envs([("CGO_ENABLED", "0"), ("GOFLAGS", ""), ("GOWORK", "off")]);
    command
}

/// Clients and the API server tell this version to each other.
fn linker_flags() -> String {
    let package = "k8s.io/component-base/version";
    let mut numbers = VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    format!(
        "-s -w -X {package}.gitVersion={VERSION} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean -X {package}.gitCommit=0000000 -X {package}.buildDate=2026-01-01T00:00:00Z"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_told_is_the_version_compiled() {
        assert!(FILES[0].1.contains(&format!("k8s.io/kubernetes {VERSION}\n")));
        assert!(linker_flags().contains(".gitMinor=36 "));
    }
}
