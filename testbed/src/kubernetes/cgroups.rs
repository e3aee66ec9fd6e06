//! A name → a cgroup of that name under which a node keeps its pods.
//!
//! Our machines have version 1 of cgroups; what is here for version 2 follows
//! the kernel's and the kubelet's documentation and has not been run by us.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

const ROOT: &str = "/sys/fs/cgroup";
/// What a kubelet needs on version 2.
const CONTROLLERS: &str = "+cpu +cpuset +memory +pids";

/// Version 1 may have version 2 beside it, without controllers.
const UNIFIED: &str = "unified";

/// The folders of the cgroup: one with version 2, one per hierarchy with version
/// 1. Not all need exist.
pub fn folders(name: &str) -> anyhow::Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    if is_version_2(root) {
        return Ok(vec![root.join(name)]);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("list {ROOT}"))? {
        let hierarchy = entry?;
        // Version 1 links names like `cpu` to the folder `cpu,cpuacct`.
        if hierarchy.file_type()?.is_dir() {
            folders.push(hierarchy.path().join(name));
        }
    }
    Ok(folders)
}

/// Makes the cgroup. The kubelet wants it in every hierarchy.
pub fn create(name: &str) -> anyhow::Result<()> {
    let root = Path::new(ROOT);
    if is_version_2(root) {
        write(&root.join("cgroup.subtree_control"), CONTROLLERS)?;
    }
    for folder in folders(name)?.into_iter().filter(|folder| !folder.starts_with(root.join(UNIFIED))) {
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let parent = folder.parent().unwrap_or(root);
        // A new cpuset of version 1 is empty, and takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !is_version_2(root) && folder.join(file).exists() {
                let all = fs::read_to_string(parent.join(file)).with_context(|| format!("read {file}"))?;
                write(&folder.join(file), all.trim())?;
            }
        }
    }
    Ok(())
}

fn is_version_2(root: &Path) -> bool {
    root.join("cgroup.controllers").exists()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
