//! Inside the node's mount namespace: hides what containerd, the network
//! plugins and the kubelet would write outside their folders.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};

/// Folders whose contents a node must not touch.
const HIDDEN: [&str; 3] = ["/run", "/var/lib", "/var/log"];
/// Settings of the whole machine that the kubelet changes.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Gives the node empty folders in place of [`HIDDEN`], except for what it
/// keeps of them, and files of its own in place of [`SETTINGS`].
pub fn arrange(keep: &[PathBuf]) -> anyhow::Result<()> {
    change("/", MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    for folder in HIDDEN {
        hide(Path::new(folder), keep)?;
    }
    for setting in SETTINGS {
        let path = Path::new("/proc/sys").join(setting);
        if path.exists() {
            let stand_in = Path::new("/run").join(setting.replace('/', "."));
            fs::copy(&path, &stand_in).with_context(|| format!("copy {}", path.display()))?;
            bind(&stand_in, &path)?;
        }
    }
    // The kubelet passes mounts on to its containers.
    change("/", MsFlags::MS_REC | MsFlags::MS_SHARED)
}

fn hide(folder: &Path, keep: &[PathBuf]) -> anyhow::Result<()> {
    let kept: Vec<(&PathBuf, File)> = keep
        .iter()
        .filter(|path| path.starts_with(folder))
        .map(|path| Ok((path, File::open(path).with_context(|| format!("open {}", path.display()))?)))
        .collect::<anyhow::Result<_>>()?;
    mount(Some("caudal"), folder, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .with_context(|| format!("mount an empty folder at {}", folder.display()))?;
    for (path, open) in kept {
        fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        bind(Path::new(&format!("/proc/self/fd/{}", open.as_raw_fd())), path)?;
    }
    Ok(())
}

fn bind(source: &Path, target: &Path) -> anyhow::Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("mount {} at {}", source.display(), target.display()))
}

fn change(target: &str, flags: MsFlags) -> anyhow::Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("change how {target} is mounted"))
}
