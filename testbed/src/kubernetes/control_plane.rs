//! Nothing → etcd, API server and controllers on free loopback ports, without
//! a node: everything but running pods, and without root.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::binary::binary;
use super::client::Client;
use super::control::Settings;
use super::credentials::{ADMIN, CONTROLLER_MANAGER, Files};
use crate::ports::Port;
use crate::process::{Keeper, Process};
use crate::wait;

const START: Duration = Duration::from_mins(2);

pub struct ControlPlane {
    client: Client,
    kubeconfig: PathBuf,
    folder: PathBuf,
    _processes: Vec<Process>,
    _ports: [Port; 3],
}

impl ControlPlane {
    /// Starts a control plane and waits until it serves and its first
    /// namespace is complete. It ends, and its data go, when the value is
    /// dropped or this process ends in any way.
    pub fn start() -> anyhow::Result<Self> {
        let folder = crate::temporary_folder("kubernetes")?;
        let keeper = Arc::new(Keeper::start(&folder)?);
        let ports = [Port::take()?, Port::take()?, Port::take()?];
        let settings = Settings {
            binary: binary()?,
            folder: folder.clone(),
            files: Files::new(&folder),
            address: Ipv4Addr::LOCALHOST,
            port: ports[0].number(),
            etcd_port: ports[1].number(),
            etcd_peer_port: ports[2].number(),
            services: "10.96.0.0/16".to_owned(),
        };
        settings.files.write(&settings.url(), &[&ADMIN, &CONTROLLER_MANAGER])?;
        let kubeconfig = settings.files.kubeconfig(&ADMIN);
        let client = Client::of_cluster(&settings.binary, &kubeconfig);
        let processes = start_components(&settings, &client, &keeper)?;
        Ok(Self { client, kubeconfig, folder, _processes: processes, _ports: ports })
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// kubectl and Helm for this control plane.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The folder with the components' logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn start_components(
    settings: &Settings,
    client: &Client,
    keeper: &Arc<Keeper>,
) -> anyhow::Result<Vec<Process>> {
    let log = |name: &str| settings.folder.join(format!("{name}.log"));
    let etcd = Process::start("etcd", &mut settings.etcd(), &log("etcd"), keeper)?;
    let mut command = settings.api_server();
    // Nobody reaches a loopback address through the Service `kubernetes`.
    command.arg("--endpoint-reconciler-type=none");
    let mut api_server = Process::start("the API server", &mut command, &log("apiserver"), keeper)?;
    wait::until("the API server to be ready", START, || {
        api_server.check_runs()?;
        Ok(ready(client, settings.server_address()).then_some(()))
    })?;
    let mut command = settings.controller_manager();
    let controllers =
        Process::start("the controller manager", &mut command, &log("controller-manager"), keeper)?;
    wait::until("the default service account", START, || {
        Ok(client.kubectl(&["get", "serviceaccount", "default"]).ok())
    })
    .context("wait for the controllers")?;
    Ok(vec![controllers, api_server, etcd])
}

/// Whether the API server says that it is ready. kubectl is not run before the
/// server listens, for it takes its time.
pub fn ready(client: &Client, server: SocketAddr) -> bool {
    TcpStream::connect_timeout(&server, Duration::from_secs(1)).is_ok()
        && client.kubectl(&["get", "--raw=/readyz", "--request-timeout=2s"]).is_ok()
}
