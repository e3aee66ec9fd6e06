//! This machine → whether a stack can run here, and what to do if not.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use nix::unistd::geteuid;

use crate::{cache, debian};

/// A program, and how to get it on Debian and Ubuntu.
const PROGRAMS: [(&str, &str); 17] = [
    ("cargo", "https://rustup.rs"),
    ("go", "https://go.dev/dl"),
    ("java", "apt-get install openjdk-17-jdk-headless"),
    ("mvn", "apt-get install maven"),
    ("node", "apt-get install nodejs"),
    ("npm", "apt-get install npm"),
    ("cc", "apt-get install build-essential"),
    ("make", "apt-get install build-essential"),
    ("strip", "apt-get install binutils"),
    ("ldd", "apt-get install libc-bin"),
    ("pkg-config", "apt-get install pkg-config"),
    ("openssl", "apt-get install openssl"),
    ("apt-get", "Debian or Ubuntu is needed"),
    ("dpkg-deb", "Debian or Ubuntu is needed"),
    ("ip", "apt-get install iproute2"),
    ("unshare", "apt-get install util-linux"),
    ("sh", "Debian or Ubuntu is needed"),
];
/// What the first start needs, and what later ones need, for data.
const DISK_COLD: u64 = 15 << 30;
const DISK_WARM: u64 = 3 << 30;
const MEMORY: u64 = 6 << 30;
const JAVA: u32 = 17;

/// Checks everything, and tells all that is missing at once.
pub fn check() -> anyhow::Result<()> {
    let mut problems = Vec::new();
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        problems.push("the local stack runs on Linux on x86-64 with glibc only".to_owned());
    }
    if !geteuid().is_root() {
        problems.push(
            "root is needed to make network namespaces, mounts and cgroups for the node: run with \
             sudo --preserve-env=PATH,HOME"
                .to_owned(),
        );
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    for (program, remedy) in PROGRAMS {
        if debian::find(program, &path).is_none() {
            problems.push(format!("{program} is missing: {remedy}"));
        }
    }
    problems.extend(java().context("ask java for its version")?);
    problems.extend(libssl());
    problems.extend(disk()?);
    problems.extend(memory()?);
    if problems.is_empty() {
        return Ok(());
    }
    let mut text = "this machine is not ready for a stack:".to_owned();
    for problem in problems {
        write!(text, "\n  - {problem}")?;
    }
    bail!(text)
}

fn java() -> anyhow::Result<Option<String>> {
    let Ok(output) = Command::new("java").arg("-version").output() else { return Ok(None) };
    let text = String::from_utf8_lossy(&output.stderr);
    let version = java_version(&text).with_context(|| format!("understand {text:?}"))?;
    let old = || format!("java {version} is too old: apt-get install openjdk-{JAVA}-jdk-headless");
    Ok((version < JAVA).then(old))
}

/// `openjdk version "17.0.15" 2025-04-15` → 17.
fn java_version(text: &str) -> Option<u32> {
    text.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

fn libssl() -> Option<String> {
    let found = Command::new("pkg-config").args(["--exists", "openssl"]).status();
    let missing = found.is_ok_and(|status| !status.success());
    missing.then(|| "the headers of OpenSSL are missing: apt-get install libssl-dev".to_owned())
}

fn disk() -> anyhow::Result<Option<String>> {
    let root = cache::root()?;
    let exists = root.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let numbers = nix::sys::statvfs::statvfs(exists).context("ask for free disk")?;
    let free = numbers.blocks_available() * numbers.fragment_size();
    let warm = fs::read_dir(&root).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("kubernetes-"))
    });
    let needed = if warm { DISK_WARM } else { DISK_COLD };
    Ok((free < needed).then(|| {
        let place = root.display();
        format!(
            "{} GB of {} GB disk are free at {place}: make room, or set CAUDAL_CACHE",
            free >> 30,
            needed >> 30
        )
    }))
}

fn memory() -> anyhow::Result<Option<String>> {
    let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes: u64 = available
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .context("find MemAvailable in /proc/meminfo")?;
    let free = kibibytes << 10;
    Ok((free < MEMORY).then(|| {
        format!("{} GB of {} GB memory are available: end other programs", free >> 30, MEMORY >> 30)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_how_java_tells_its_version() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(java_version("java version \"21\" 2023-09-19"), Some(21));
        assert_eq!(java_version("openjdk version \"26-ea\""), Some(26));
        assert_eq!(java_version("no java"), None);
    }
}
