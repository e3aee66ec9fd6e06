//! Programs → image archives that containerd imports, without a container
//! engine and without downloading anything.
//!
//! An image holds programs, the shared libraries that the dynamic linker finds
//! for them on this machine, and what every program expects: certificate
//! authorities, accounts, a place for temporary files. The same contents give
//! the same archive.

mod archive;
mod contents;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::cache;
use crate::progress;
use contents::Contents;

/// The image of the first process of every pod.
pub const PAUSE: &str = "localhost/caudal-pause:1";
const PAUSE_SOURCE: &str = include_str!("../image/pause.c");
/// The name that the chart knows.
pub const NAME: &str = "ghcr.io/caudal-dev/caudal";

/// An image archive.
#[derive(Clone, Debug)]
pub struct Image {
    /// Name and tag.
    pub reference: String,
    pub archive: PathBuf,
}

/// The image of the first process of every pod.
pub fn pause() -> anyhow::Result<Image> {
    let folder = cache::folder("pause-image", &[PAUSE_SOURCE, PAUSE], |folder, keeper| {
        let (source, program) = (folder.join("pause.c"), folder.join("pause"));
        fs::write(&source, PAUSE_SOURCE).context("write pause.c")?;
        progress::run(
            "compile the pause program",
            Command::new("cc").args(["-Os", "-Wall", "-o"]).arg(&program).arg(&source),
            keeper,
        )?;
        let mut contents = Contents::base()?;
        contents.add_program(&program, "/pause")?;
        archive::write(&folder.join("pause.tar"), &contents, &["/pause"], |_| PAUSE.to_owned()).map(drop)
    })?;
    Ok(Image { reference: PAUSE.to_owned(), archive: folder.join("pause.tar") })
}

/// An image of programs without their symbols, in `/usr/local/bin`, as an archive
/// in `folder`. Its tag tells its contents: a changed program means a changed tag.
pub fn of_programs(name: &str, programs: &[PathBuf], folder: &Path) -> anyhow::Result<Image> {
    let stripped = tempfile::tempdir().context("make a temporary folder")?;
    let mut contents = Contents::base()?;
    for program in programs {
        let file = program.file_name().context("a program's name")?;
        let without_symbols = stripped.path().join(file);
        let output = Command::new("strip").arg("-o").arg(&without_symbols).arg(program).output();
        let output = output.with_context(|| format!("strip {}: start strip", program.display()))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "strip {}: {complaint}", program.display());
        contents.add_program(&without_symbols, &format!("/usr/local/bin/{}", file.to_string_lossy()))?;
    }
    let archive = folder.join("image.tar");
    let tag = |digest: &str| format!("{name}:{}-{}", env!("CARGO_PKG_VERSION"), &digest[..12]);
    let reference = archive::write(&archive, &contents, &[], tag)?;
    Ok(Image { reference, archive })
}
