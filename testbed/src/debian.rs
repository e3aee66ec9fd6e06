//! What this machine lacks of a container runtime → the distribution's packages
//! unpacked into the cache, nothing installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::{cache, progress};

/// Where to find the programs of the container runtime.
pub struct Tools {
    /// For `PATH`.
    pub path: String,
    /// For `LD_LIBRARY_PATH`.
    pub libraries: String,
    /// The folder with the network plugins.
    pub plugins: PathBuf,
}

/// A program that a node needs, and the package that has it.
const PROGRAMS: [(&str, &str); 3] = [("containerd", "containerd"), ("runc", "runc"), ("nft", "nftables")];
const PLUGINS: &str = "containernetworking-plugins";
const PLUGIN_FOLDERS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];
const ADMIN_FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// The programs of this machine, and those it lacks from packages of its
/// distribution, downloaded the first time. Both have the distribution's own
/// versions, which fit its libraries; apt verifies signature and checksum.
pub fn tools() -> anyhow::Result<Tools> {
    let own_path = format!("{}:{ADMIN_FOLDERS}", env::var("PATH").unwrap_or_default());
    let own_plugins = PLUGIN_FOLDERS.iter().map(Path::new).find(|folder| folder.join("ptp").exists());
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find(program, &own_path).is_none())
        .map(|(_, package)| *package)
        .collect();
    if own_plugins.is_none() {
        missing.push(PLUGINS);
    }
    if missing.is_empty() {
        let plugins = own_plugins.context("the plugins' folder")?.to_owned();
        return Ok(Tools { path: own_path, libraries: String::new(), plugins });
    }
    let root = unpacked(&missing)?;
    let folder = |name: &str| root.join(name).display().to_string();
    let path = ["usr/sbin", "usr/bin", "sbin", "bin"].map(folder).join(":");
    let triplet = format!("{}-linux-gnu", env::consts::ARCH);
    let libraries =
        [format!("usr/lib/{triplet}"), format!("lib/{triplet}")].map(|name| folder(&name)).join(":");
    let plugins = own_plugins.map_or_else(|| root.join("usr/lib/cni"), Path::to_owned);
    Ok(Tools { path: format!("{path}:{own_path}"), libraries, plugins })
}

/// The first of `path`'s folders with the program.
pub fn find(program: &str, path: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn unpacked(packages: &[&str]) -> anyhow::Result<PathBuf> {
    let release = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let mut inputs = vec![release.as_str()];
    inputs.extend(packages);
    let folder = cache::folder("node-tools", &inputs, |folder, keeper| {
        let (archives, root) = (folder.join("archives"), folder.join("root"));
        fs::create_dir_all(archives.join("partial")).context("create a folder for packages")?;
        // Not `apt-get download`: this finds the libraries, too, that are missing here.
        progress::run(
            &format!("download the packages {} (they are not installed)", packages.join(", ")),
            Command::new("apt-get")
                .args(["install", "--yes", "--quiet", "--download-only", "--no-install-recommends"])
                .args(["-o", "APT::Get::AllowUnauthenticated=false", "-o", "Debug::NoLocking=1", "-o"])
                .arg(format!("Dir::Cache::archives={}", archives.display()))
                .args(packages),
            keeper,
        )
        .context("if a package is not found: apt-get update")?;
        for archive in fs::read_dir(&archives)?.map_while(Result::ok).map(|entry| entry.path()) {
            if archive.extension().is_some_and(|extension| extension == "deb") {
                let output = Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&root).output()?;
                ensure!(output.status.success(), "unpack {}", archive.display());
            }
        }
        fs::remove_dir_all(&archives).context("remove the packages")
    })?;
    Ok(folder.join("root"))
}
