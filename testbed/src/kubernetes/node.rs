//! A network and folders → a node with its control plane, in namespaces of its
//! own: nothing of it appears in this machine's tables or mounts, and the end of
//! one process ends it.

mod config;
pub mod init;
mod mounts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::binary::binary;
use super::client::Client;
use super::control::Settings;
use super::credentials::{ADMIN, CONTROLLER_MANAGER, Files, Identity};
use super::network::{LINK_LENGTH, Network};
use super::{cgroups, control_plane};
use crate::image::Image;
use crate::process::{Keeper, Process};
use crate::{debian, wait};

const START: Duration = Duration::from_mins(3);
const SCHEDULER: Identity<'_> =
    Identity { name: "scheduler", user: "system:kube-scheduler", group: "system:kube-scheduler" };
const PROXY: Identity<'_> =
    Identity { name: "proxy", user: "system:kube-proxy", group: "system:node-proxier" };
const DNS: Identity<'_> = Identity { name: "dns", user: "system:coredns", group: "system:masters" };

/// What the node's first process must know. Written to a file for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layout {
    pub binary: PathBuf,
    pub network: Network,
    /// Data and logs.
    pub data: PathBuf,
    /// Sockets.
    pub run: PathBuf,
    /// Programs of the container runtime.
    pub path: String,
    pub libraries: String,
    pub plugins: PathBuf,
}

impl Layout {
    pub fn new(network: Network, data: &Path, run: &Path) -> anyhow::Result<Self> {
        let tools = debian::tools()?;
        Ok(Self {
            binary: binary()?,
            network,
            data: data.to_owned(),
            run: run.to_owned(),
            path: tools.path,
            libraries: tools.libraries,
            plugins: tools.plugins,
        })
    }

    pub fn client(&self) -> Client {
        Client::of_cluster(&self.binary, &self.kubeconfig())
    }

    /// The administrator's.
    pub fn kubeconfig(&self) -> PathBuf {
        self.files().kubeconfig(&ADMIN)
    }

    pub fn containerd_socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    /// Makes an image known to the node.
    pub fn import(&self, image: &Image) -> anyhow::Result<()> {
        let output = Command::new("ctr")
            .env("PATH", &self.path)
            .env("LD_LIBRARY_PATH", &self.libraries)
            .arg("--address")
            .arg(self.containerd_socket())
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(&image.archive)
            .output()
            .context("start ctr")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "import {}: {}", image.reference, complaint.trim());
        Ok(())
    }

    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    fn files(&self) -> Files {
        Files::new(&self.data.join("credentials"))
    }

    /// How the kubelet identifies itself: by the name of its node.
    fn kubelet(&self) -> (String, &'static str) {
        (format!("system:node:{}", self.network.name()), "system:nodes")
    }

    fn control(&self) -> Settings {
        Settings {
            binary: self.binary.clone(),
            folder: self.data.clone(),
            files: self.files(),
            address: self.network.node(),
            port: 6443,
            etcd_port: 2379,
            etcd_peer_port: 2380,
            services: self.network.services(),
        }
    }
}

pub struct Node {
    layout: Layout,
    process: Process,
}

impl Node {
    /// Starts the node, and returns once this machine has its link to it.
    /// `program` runs [`init::run`] with the file it is given.
    pub fn start(layout: Layout, program: &Path, keeper: &Arc<Keeper>) -> anyhow::Result<Self> {
        fs::create_dir_all(layout.logs()).context("create the folder of logs")?;
        cgroups::create(&layout.network.name())?;
        config::write(&layout)?;
        let file = layout.data.join("layout.json");
        fs::write(&file, serde_json::to_vec_pretty(&layout)?).context("write the node's layout")?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"])
            .arg(program)
            .arg("node")
            .arg(&file);
        let log = layout.logs().join("node.log");
        let mut process = Process::start("the node", &mut command, &log, keeper)?;
        link(layout.network, &mut process)?;
        Ok(Self { layout, process })
    }

    /// Waits until pods can run.
    pub fn wait_ready(&mut self) -> anyhow::Result<()> {
        let client = self.layout.client();
        wait::until("the API server to be ready", START, || {
            self.process.check_runs()?;
            Ok(control_plane::ready(&client, self.layout.control().server_address()).then_some(()))
        })?;
        let node = format!("node/{}", self.layout.network.name());
        let condition = ["wait", "--for=condition=Ready", "--timeout=10s", &node];
        wait::until("the node to be Ready", START, || {
            self.process.check_runs()?;
            Ok(client.kubectl(&condition).ok())
        })?;
        wait::until("the default service account", START, || {
            Ok(client.kubectl(&["get", "serviceaccount", "default"]).ok())
        })
        .map(drop)
    }

    /// The process whose namespaces the node has.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// An error if the node has ended.
    pub fn check_runs(&mut self) -> anyhow::Result<()> {
        self.process.check_runs()
    }
}

/// Makes a pair of connected interfaces, one end of which goes into the node's
/// namespace. Link and routes go when the namespace goes.
fn link(network: Network, process: &mut Process) -> anyhow::Result<()> {
    let (name, pid) = (network.name(), process.pid().to_string());
    let own = fs::read_link("/proc/self/ns/net")?;
    wait::until("the node's network namespace", START, || {
        process.check_runs()?;
        let theirs = fs::read_link(format!("/proc/{pid}/ns/net"))?;
        Ok((theirs != own).then_some(()))
    })?;
    let host = format!("{}/{}", network.host(), LINK_LENGTH);
    let node = network.node().to_string();
    ip(&["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &pid])?;
    ip(&["address", "add", &host, "dev", &name])?;
    ip(&["link", "set", &name, "up"])?;
    ip(&["route", "add", &network.pods(), "via", &node])?;
    ip(&["route", "add", &network.services(), "via", &node])
}

pub(crate) fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("start ip")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), complaint.trim());
    Ok(())
}
