//! This machine → whether a stack can run here, and what to do if not.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use nix::unistd::geteuid;

use crate::kubernetes::{GO_MODULE, RANGE};
use crate::stack::runs;
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

/// Checks everything that a stack of this name needs to start, or to be updated
/// if it runs, and tells all that is missing at once.
pub fn check(name: &str) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        problems.push("the local stack runs on Linux on x86-64 with glibc only".to_owned());
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    for (program, remedy) in PROGRAMS {
        if debian::find(program, &path).is_none() {
            problems.push(format!("{program} is missing: {remedy}"));
        }
    }
    problems.extend(versions()?);
    problems.extend(libssl());
    problems.extend(disk()?);
    if !geteuid().is_root() {
        problems.push(
            "root is needed to make network namespaces, mounts and cgroups for the node: run with \
             sudo --preserve-env=PATH,HOME"
                .to_owned(),
        );
    } else if !runs(name)? {
        problems.extend(memory()?);
        problems.extend(routes(&path));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let mut text = "this machine is not ready for a stack:".to_owned();
    for problem in problems {
        write!(text, "\n  - {problem}")?;
    }
    bail!(text)
}

/// Programs that are there, but too old. (Those missing are told by name.)
fn versions() -> anyhow::Result<Vec<String>> {
    let go =
        GO_MODULE.lines().find_map(|line| line.strip_prefix("go ")).context("the Go module's version")?;
    let wanted: [(&str, &str, &str, &str); 4] = [
        ("cargo", "--version", env!("CARGO_PKG_RUST_VERSION"), "rustup update"),
        ("go", "version", go, "https://go.dev/dl"),
        ("java", "-version", "17", "apt-get install openjdk-17-jdk-headless"),
        ("node", "--version", "20", "https://nodejs.org"),
    ];
    let mut problems = Vec::new();
    for (program, argument, least, remedy) in wanted {
        let Ok(output) = Command::new(program).arg(argument).output() else { continue };
        // Java tells its version as an error.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let least = version(least).context("a version")?;
        let found = version(&text).with_context(|| format!("find the version of {program} in {text:?}"))?;
        if found < least {
            let (found, least) = (format!("{}.{}", found.0, found.1), format!("{}.{}", least.0, least.1));
            problems.push(format!("{program} {found} is older than {least}: {remedy}"));
        }
    }
    Ok(problems)
}

/// The first number in a text, and the one after its point: `openjdk version
/// "17.0.15" 2025-04-15` → 17, 0.
fn version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|character: char| character.is_ascii_digit())?;
    let mut numbers = text[start..].split(|character: char| !character.is_ascii_digit() && character != '.');
    let mut numbers = numbers.next()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// Someone else's use of our addresses.
fn routes(path: &str) -> Option<String> {
    let ip = debian::find("ip", path)?;
    let output = Command::new(ip).args(["-oneline", "route", "show", "root", RANGE]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let other = text.lines().find(|line| !line.contains(" dev caudal"))?;
    Some(format!("this machine routes addresses of {RANGE}, which stacks use, elsewhere: {}", other.trim()))
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
    fn understands_how_programs_tell_their_versions() {
        assert_eq!(version("openjdk version \"17.0.15\" 2025-04-15\n"), Some((17, 0)));
        assert_eq!(version("java version \"21\" 2023-09-19"), Some((21, 0)));
        assert_eq!(version("openjdk version \"26-ea\""), Some((26, 0)));
        assert_eq!(version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(version("v20.20.2\n"), Some((20, 20)));
        assert_eq!(version("cargo 1.95.0 (f2d3ce0bd 2026-03-21)"), Some((1, 95)));
        assert_eq!(version("no java"), None);
    }
}
