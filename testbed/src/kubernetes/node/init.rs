//! The first process of a node's namespaces: arranges mounts and network,
//! starts the components and keeps them running. When it ends, all do.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::wait::wait;
use nix::unistd::{Pid, sethostname};

use super::config::{CONTAINERD_CONFIG, DNS_CONFIG, KUBELET_CLIENT, KUBELET_CONFIG, PROXY_CONFIG};
use super::{Layout, SCHEDULER, ip, mounts};
use crate::kubernetes::control::{flag, path_flag};
use crate::kubernetes::control_plane;
use crate::kubernetes::network::LINK_LENGTH;
use crate::{cache, wait as condition};

const START: Duration = Duration::from_mins(3);

/// Never returns without an error.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let layout: Layout = serde_json::from_slice(&text).context("understand the node's layout")?;
    mounts::arrange(&[layout.data.clone(), layout.run.clone(), cache::root()?])?;
    sethostname(layout.network.name()).context("set the host name")?;
    arrange_network(&layout)?;
    let mut components = Components { layout: &layout, running: HashMap::new() };
    components.start("etcd", Layout::etcd)?;
    components.start("kube-apiserver", Layout::api_server)?;
    components.start("containerd", Layout::containerd)?;
    condition::until("the API server to be ready", START, || {
        Ok(control_plane::ready(&layout.client(), layout.control().server_address()).then_some(()))
    })?;
    components.start("kube-controller-manager", Layout::controller_manager)?;
    components.start("kube-scheduler", Layout::scheduler)?;
    condition::until("containerd to listen", START, || {
        Ok(layout.containerd_socket().exists().then_some(()))
    })?;
    components.start("kubelet", Layout::kubelet_command)?;
    components.start("kube-proxy", Layout::proxy)?;
    components.start("coredns", Layout::dns)?;
    components.keep()
}

fn arrange_network(layout: &Layout) -> anyhow::Result<()> {
    condition::until("the node's link", START, || {
        Ok(Path::new("/proc/sys/net/ipv4/conf/eth0").exists().then_some(()))
    })?;
    let network = layout.network;
    ip(&["link", "set", "lo", "up"])?;
    ip(&["address", "add", &format!("{}/{}", network.node(), LINK_LENGTH), "dev", "eth0"])?;
    ip(&["link", "set", "eth0", "up"])?;
    ip(&["route", "add", "default", "via", &network.host().to_string()])?;
    for (setting, value) in [("ip_forward", "1"), ("conf/all/rp_filter", "0")] {
        let path = format!("/proc/sys/net/ipv4/{setting}");
        fs::write(&path, value).with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

impl Layout {
    fn component(&self, name: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(name);
        command
    }

    /// With the programs of the container runtime.
    fn equip(&self, mut command: Command) -> Command {
        command.env("PATH", &self.path).env("LD_LIBRARY_PATH", &self.libraries);
        command
    }

    fn etcd(&self) -> Command {
        self.control().etcd()
    }

    fn api_server(&self) -> Command {
        let credentials = self.data.join("credentials");
        let mut command = self.control().api_server();
        for (name, kind) in [("kubelet-client-certificate", "crt"), ("kubelet-client-key", "key")] {
            command.arg(path_flag(name, &credentials.join(format!("{KUBELET_CLIENT}.{kind}"))));
        }
        command.arg("--kubelet-preferred-address-types=InternalIP");
        command
    }

    fn controller_manager(&self) -> Command {
        self.control().controller_manager()
    }

    fn scheduler(&self) -> Command {
        let mut command = self.component("kube-scheduler");
        command.arg(path_flag("kubeconfig", &self.files().kubeconfig(&SCHEDULER))).args([
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ]);
        command
    }

    fn containerd(&self) -> Command {
        let mut command = self.equip(Command::new("containerd"));
        command.arg("--config").arg(self.data.join(CONTAINERD_CONFIG));
        command
    }

    fn kubelet_command(&self) -> Command {
        let mut command = self.component("kubelet");
        command
            .arg(path_flag("config", &self.data.join(KUBELET_CONFIG)))
            .arg(path_flag("kubeconfig", &self.data.join("credentials/kubelet.kubeconfig")))
            .arg(path_flag("root-dir", &self.data.join("kubelet")))
            .arg(path_flag("cert-dir", &self.data.join("kubelet/certificates")))
            .arg(flag("node-ip", &self.network.node().to_string()))
            .arg(flag("hostname-override", &self.network.name()));
        command
    }

    fn proxy(&self) -> Command {
        let mut command = self.equip(self.component("kube-proxy"));
        command.arg(path_flag("config", &self.data.join(PROXY_CONFIG)));
        command
    }

    fn dns(&self) -> Command {
        let mut command = self.component("coredns");
        command.arg("-conf").arg(self.data.join(DNS_CONFIG));
        command
    }
}

type Make = fn(&Layout) -> Command;

struct Components<'a> {
    layout: &'a Layout,
    running: HashMap<Pid, (&'static str, Make)>,
}

impl Components<'_> {
    fn start(&mut self, name: &'static str, make: Make) -> anyhow::Result<()> {
        let path = self.layout.logs().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("open {}", path.display()))?;
        let mut command = make(self.layout);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        let pid = i32::try_from(child.id()).context("a process number")?;
        self.running.insert(Pid::from_raw(pid), (name, make));
        Ok(())
    }

    /// Starts again what ends, and clears up after orphans, which come to the
    /// first process of a namespace.
    fn keep(&mut self) -> anyhow::Result<()> {
        loop {
            let status = match wait() {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error).context("wait for the node's processes"),
            };
            let Some((name, make)) = status.pid().and_then(|pid| self.running.remove(&pid)) else { continue };
            eprintln!("{name} ended: {status:?}; starting it again");
            std::thread::sleep(Duration::from_secs(1));
            self.start(name, make)?;
        }
    }
}
