//! Programs → the files of an image, with all that the programs need to start.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Where an image has the shared libraries; the dynamic linker is told.
pub const LIBRARIES: &str = "/usr/local/lib";
/// Who programs run as.
pub const USER: u32 = 65532;

const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// A file's contents, or `None` for a folder; and its mode.
pub struct Entry {
    pub file: Option<Vec<u8>>,
    pub mode: u32,
}

/// Absolute paths and what is there; a folder comes before what is in it.
#[derive(Default)]
pub struct Contents {
    pub entries: BTreeMap<String, Entry>,
}

impl Contents {
    /// What every program expects.
    pub fn base() -> anyhow::Result<Self> {
        let mut contents = Self::default();
        let text = |text: &str| text.as_bytes().to_vec();
        contents.add_file(
            "/etc/passwd",
            text(&format!("root:x:0:0::/:\ncaudal:x:{USER}:{USER}::/:\n")),
            0o644,
        );
        contents.add_file("/etc/group", text(&format!("root:x:0:\ncaudal:x:{USER}:\n")), 0o644);
        contents.add_file("/etc/nsswitch.conf", text("hosts: files dns\n"), 0o644);
        contents.add_folder("/tmp", 0o1777);
        let Some(authorities) = AUTHORITIES.iter().find_map(|path| fs::read(path).ok()) else {
            bail!("read the certificate authorities: none of {}", AUTHORITIES.join(", "));
        };
        contents.add_file(AUTHORITIES[0], authorities, 0o644);
        Ok(contents)
    }

    /// Adds a program of this machine and the shared libraries it loads.
    pub fn add_program(&mut self, program: &Path, path: &str) -> anyhow::Result<()> {
        self.add_file(path, read(program)?, 0o755);
        let output = Command::new("ldd").arg(program).output().context("start ldd")?;
        for library in parse_ldd(&String::from_utf8_lossy(&output.stdout)) {
            match library {
                Library::Found { name, path } => {
                    self.add_file(&format!("{LIBRARIES}/{name}"), read(Path::new(path))?, 0o644);
                }
                Library::Linker(path) => self.add_file(path, read(Path::new(path))?, 0o755),
                Library::Missing(name) => bail!("find library {name} of {}", program.display()),
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &str, file: Vec<u8>, mode: u32) {
        self.add_parents(path);
        self.entries.insert(path.to_owned(), Entry { file: Some(file), mode });
    }

    fn add_folder(&mut self, path: &str, mode: u32) {
        self.add_parents(path);
        self.entries.insert(path.to_owned(), Entry { file: None, mode });
    }

    fn add_parents(&mut self, path: &str) {
        let parents =
            path.match_indices('/').map(|(end, _)| &path[..end]).filter(|parent| !parent.is_empty());
        for parent in parents {
            self.entries.entry(parent.to_owned()).or_insert(Entry { file: None, mode: 0o755 });
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Library<'a> {
    Found {
        name: &'a str,
        path: &'a str,
    },
    /// The dynamic linker, by the path that programs have inside them.
    Linker(&'a str),
    Missing(&'a str),
}

fn parse_ldd(text: &str) -> Vec<Library<'_>> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            match line.split_once(" => ") {
                Some((name, "not found")) => Some(Library::Missing(name)),
                Some((name, found)) => Some(Library::Found {
                    name,
                    path: found.split_once(" (").map_or(found, |(path, _)| path),
                }),
                None if line.starts_with('/') => line.split_once(" (").map(|(path, _)| Library::Linker(path)),
                None => None,
            }
        })
        .collect()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_names_libraries_the_linker_and_what_is_missing() {
        let text = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibssl.so.3 => /lib/libssl.so.3 (0x00007f)\n\
                    \tlibgone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            parse_ldd(text),
            [
                Library::Found { name: "libssl.so.3", path: "/lib/libssl.so.3" },
                Library::Missing("libgone.so"),
                Library::Linker("/lib64/ld-linux-x86-64.so.2"),
            ]
        );
        assert_eq!(parse_ldd("\tnot a dynamic executable\n"), []);
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut contents = Contents::default();
        contents.add_file("/usr/local/bin/x", vec![], 0o755);
        let paths: Vec<&String> = contents.entries.keys().collect();
        assert_eq!(paths, ["/usr", "/usr/local", "/usr/local/bin", "/usr/local/bin/x"]);
    }
}
