//! The committed pom → a folder with the broker's jars, from Maven Central.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::{cache, progress};

const POM: &str = include_str!("../../kafka/pom.xml");

/// The folder with the jars; downloads them the first time.
pub fn libraries() -> anyhow::Result<PathBuf> {
    cache::folder("kafka", &[POM], |folder| {
        let pom = folder.join("pom.xml");
        fs::write(&pom, POM).with_context(|| format!("write {}", pom.display()))?;
        progress::run(
            "download Kafka",
            Command::new("mvn")
                .args(["--batch-mode", "--quiet", "--strict-checksums", "--file"])
                .arg(&pom)
                .arg("dependency:copy-dependencies")
                .arg("-DincludeScope=runtime")
                .arg(format!("-DoutputDirectory={}", folder.display())),
        )
        .map(drop)
    })
}
