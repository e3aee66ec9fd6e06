//! The committed pom → a folder with the broker's jars, from Maven Central, as
//! the committed checksums say they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use crate::{cache, progress};

const POM: &str = include_str!("../../kafka/pom.xml");
/// What `sha256sum *.jar` prints in the folder. Maven itself checks only what
/// the repository says of its own files.
const SUMS: &str = include_str!("../../kafka/SHA256SUMS");

/// The folder with the jars; downloads them the first time.
pub fn libraries() -> anyhow::Result<PathBuf> {
    cache::folder("kafka", &[POM, SUMS], |folder, keeper| {
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
            keeper,
        )?;
        verify(folder, SUMS)
    })
}

/// Checks that the folder's jars are the ones listed, all of them and no other.
fn verify(folder: &Path, sums: &str) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "jar") {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push(format!("{}  {name}", cache::hex(&Sha256::digest(bytes))));
        }
    }
    let wanted: Vec<&str> = sums.lines().collect();
    if let Some(wrong) = found.iter().find(|line| !wanted.contains(&line.as_str())) {
        bail!("verify Kafka's jars: {wrong:?} is not among the checksums in testbed/kafka/SHA256SUMS");
    }
    if let Some(missing) = wanted.iter().find(|line| !found.iter().any(|found| found == *line)) {
        bail!("verify Kafka's jars: {missing:?} was not downloaded");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_jars_of_the_list_are_accepted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.jar"), "").unwrap();
        fs::write(folder.path().join("pom.xml"), "<project/>").unwrap();
        let empty = cache::hex(&Sha256::digest(""));
        let sums = format!("{empty}  a.jar\n");
        verify(folder.path(), &sums).unwrap();

        let two = format!("{sums}{empty}  b.jar\n");
        let missing = verify(folder.path(), &two).unwrap_err().to_string();
        assert!(missing.contains("b.jar\" was not downloaded"), "{missing}");
        fs::write(folder.path().join("a.jar"), "other").unwrap();
        assert!(verify(folder.path(), &sums).unwrap_err().to_string().contains("a.jar"));
    }
}
