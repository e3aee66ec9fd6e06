//! A layout → the files that the node's components read.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::{ADMIN, CONTROLLER_MANAGER, DNS, Layout, PROXY, SCHEDULER};
use crate::image;
use crate::kubernetes::credentials::{Identity, openssl};

pub const KUBELET_CONFIG: &str = "kubelet.yaml";
pub const PROXY_CONFIG: &str = "proxy.yaml";
pub const DNS_CONFIG: &str = "Corefile";
pub const CONTAINERD_CONFIG: &str = "containerd.toml";
pub const CLIENT_AUTHORITY: &str = "kubelet-clients.crt";
pub const KUBELET_CLIENT: &str = "kubelet-client";

pub fn write(layout: &Layout) -> anyhow::Result<()> {
    let (user, group) = layout.kubelet();
    let kubelet = Identity { name: "kubelet", user: &user, group };
    let identities = [&ADMIN, &CONTROLLER_MANAGER, &SCHEDULER, &PROXY, &DNS, &kubelet];
    layout.files().write(&layout.control().url(), &identities)?;
    write_client_certificate(&layout.data.join("credentials"))?;
    let plugins = layout.data.join("cni");
    fs::create_dir_all(&plugins).context("create the folder of the network's configuration")?;
    for (path, text) in [
        (layout.data.join(CONTAINERD_CONFIG), containerd(layout)),
        (plugins.join("caudal.conflist"), plugin(layout)),
        (layout.data.join("resolv.conf"), format!("nameserver {}\n", layout.network.node())),
        (layout.data.join(KUBELET_CONFIG), kubelet_config(layout)),
        (layout.data.join(PROXY_CONFIG), proxy(layout)),
        (layout.data.join(DNS_CONFIG), dns(layout)),
    ] {
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// The certificate by which the kubelet knows the API server.
fn write_client_certificate(folder: &Path) -> anyhow::Result<()> {
    let command = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder);
        openssl(&mut command)
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let authority = "kubelet-clients";
    command(&format!(
        "req -x509 {key} -days 3650 -subj /CN={authority} -keyout {authority}.key -out {authority}.crt"
    ))?;
    command(&format!(
        "req {key} -subj /O=system:masters/CN=kube-apiserver -keyout {KUBELET_CLIENT}.key -out {KUBELET_CLIENT}.csr"
    ))?;
    command(&format!(
        "x509 -req -days 3650 -in {KUBELET_CLIENT}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial \
         -out {KUBELET_CLIENT}.crt"
    ))
}

/// `restrict_oom_score_adj`: the machine may not let us protect the pause
/// container. `disable_apparmor`: containerd would load a profile into the
/// machine's kernel.
fn containerd(layout: &Layout) -> String {
    let root = layout.data.join("containerd");
    let (root, data, plugins) = (root.display(), layout.data.display(), layout.plugins.display());
    let (run, socket) = (layout.run.display(), layout.containerd_socket());
    let (socket, pause) = (socket.display(), image::PAUSE);
    format!(
        r#"version = 2
root = "{root}"
state = "{run}/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{data}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"#
    )
}

/// Point to point: every packet between pods is routed, so that Services work
/// without the kernel module that bridges need for it.
fn plugin(layout: &Layout) -> String {
    let pods = layout.network.pods();
    format!(
        r#"{{
  "cniVersion": "1.0.0",
  "name": "caudal",
  "plugins": [{{
    "type": "ptp",
    "ipMasq": false,
    "ipam": {{
      "type": "host-local",
      "dataDir": "/run/cni",
      "ranges": [[{{"subnet": "{pods}"}}]],
      "routes": [{{"dst": "0.0.0.0/0"}}]
    }}
  }}]
}}
"#
    )
}

/// `makeIPTablesUtilChains`: the proxy uses nftables, and nothing else is here.
fn kubelet_config(layout: &Layout) -> String {
    let (data, socket) = (layout.data.display(), layout.containerd_socket());
    let (socket, node, name) = (socket.display(), layout.network.node(), layout.network.name());
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {node}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: false}}
  x509: {{clientCAFile: {data}/credentials/{CLIENT_AUTHORITY}}}
authorization: {{mode: AlwaysAllow}}
cgroupDriver: cgroupfs
cgroupRoot: /{name}
clusterDNS: [\"{node}\"]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://{socket}
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}}
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
nodeStatusUpdateFrequency: 5s
podLogsDir: {data}/pods
resolvConf: {data}/resolv.conf
serializeImagePulls: false
syncFrequency: 10s
volumePluginDir: {data}/volume-plugins
"
    )
}

/// `conntrack`: zeros leave the machine's connection tracking as it is.
fn proxy(layout: &Layout) -> String {
    let kubeconfig = layout.files().kubeconfig(&PROXY);
    let (kubeconfig, network) = (kubeconfig.display(), layout.network);
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: {}
clientConnection: {{kubeconfig: {kubeconfig}}}
clusterCIDR: {}
conntrack: {{maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}}
hostnameOverride: {}
",
        network.node(),
        network.pods(),
        network.name()
    )
}

fn dns(layout: &Layout) -> String {
    let kubeconfig = layout.files().kubeconfig(&DNS);
    format!(
        ".:53 {{
  bind {}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {} caudal
    pods insecure
    ttl 5
  }}
  cache 5
}}
",
        layout.network.node(),
        kubeconfig.display()
    )
}
