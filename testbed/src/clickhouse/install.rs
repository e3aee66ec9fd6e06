//! The committed npm lock file and launcher → ClickHouse as a library and a
//! program that runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::{cache, progress};

const PACKAGE: &str = include_str!("../../clickhouse/package.json");
const LOCK: &str = include_str!("../../clickhouse/package-lock.json");
const LAUNCHER: &str = include_str!("../../clickhouse/launcher.c");

pub struct Server {
    pub launcher: PathBuf,
    pub library: PathBuf,
}

/// The server's files; downloads and compiles them the first time.
pub fn server() -> anyhow::Result<Server> {
    let folder = prepare()?;
    Ok(Server {
        launcher: folder.join("clickhouse"),
        library: folder.join("node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"),
    })
}

/// The folder with the server's files.
pub fn prepare() -> anyhow::Result<PathBuf> {
    cache::folder("clickhouse", &[PACKAGE, LOCK, LAUNCHER], |folder, keeper| {
        write(&folder.join("package.json"), PACKAGE)?;
        write(&folder.join("package-lock.json"), LOCK)?;
        let source = folder.join("launcher.c");
        write(&source, LAUNCHER)?;
        // Before the long download, so that a missing compiler shows at once.
        progress::run(
            "compile ClickHouse's launcher",
            Command::new("cc")
                .args(["-O2", "-Wall", "-o"])
                .arg(folder.join("clickhouse"))
                .arg(source)
                .arg("-ldl"),
            keeper,
        )?;
        progress::run(
            "download ClickHouse",
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(folder),
            keeper,
        )
        .map(drop)
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
