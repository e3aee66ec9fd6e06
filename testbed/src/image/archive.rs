//! An image's files → a docker-archive with one layer, which has no times and
//! no names of this machine in it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::contents::{Contents, LIBRARIES, USER};
use crate::cache;

/// Writes the archive and gives the image's reference, which `name` makes from
/// the digest of the contents.
pub fn write(
    path: &Path,
    contents: &Contents,
    entrypoint: &[&str],
    name: impl FnOnce(&str) -> String,
) -> anyhow::Result<String> {
    let layer = layer(contents).context("write the image's layer")?;
    let digest = cache::hex(&Sha256::digest(&layer));
    let reference = name(&digest);
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/bin", format!("LD_LIBRARY_PATH={LIBRARIES}")],
            "Entrypoint": entrypoint,
            "User": format!("{USER}:{USER}"),
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    })
    .to_string();
    let config_name = format!("{}.json", cache::hex(&Sha256::digest(&config)));
    let layer_name = format!("{digest}/layer.tar");
    let manifest =
        json!([{"Config": config_name, "RepoTags": [reference], "Layers": [layer_name]}]).to_string();
    let act = || format!("write {}", path.display());
    let mut archive = Builder::new(BufWriter::new(File::create(path).with_context(act)?));
    for (name, bytes) in
        [(&*layer_name, &*layer), (&config_name, config.as_bytes()), ("manifest.json", manifest.as_bytes())]
    {
        append(&mut archive, name, Some(bytes), 0o644).with_context(act)?;
    }
    archive.into_inner().and_then(|mut file| file.flush()).with_context(act)?;
    Ok(reference)
}

fn layer(contents: &Contents) -> std::io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for (path, entry) in &contents.entries {
        append(&mut layer, path.trim_start_matches('/'), entry.file.as_deref(), entry.mode)?;
    }
    layer.into_inner()
}

fn append(
    archive: &mut Builder<impl Write>,
    name: &str,
    file: Option<&[u8]>,
    mode: u32,
) -> std::io::Result<()> {
    let bytes = file.unwrap_or_default();
    let mut header = Header::new_ustar();
    header.set_entry_type(if file.is_some() { EntryType::Regular } else { EntryType::Directory });
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, name, bytes)
}

/// As images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_contents_give_the_same_archive_and_the_tag_tells_them() {
        let folder = tempfile::tempdir().unwrap();
        let contents = Contents::base().unwrap();
        let write_as = |name: &str| {
            let path = folder.path().join(name);
            let reference = write(&path, &contents, &[], |digest| format!("x:{digest}")).unwrap();
            (reference, std::fs::read(path).unwrap())
        };
        let one = write_as("one");
        assert_eq!(one.0.len(), 2 + 64);
        assert!(one == write_as("two"));
    }
}
