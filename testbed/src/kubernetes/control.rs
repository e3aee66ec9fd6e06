//! Addresses and files → the commands of the control plane's components.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::credentials::{CONTROLLER_MANAGER, Files};

pub struct Settings {
    pub binary: PathBuf,
    pub folder: PathBuf,
    pub files: Files,
    /// Where the API server listens.
    pub address: Ipv4Addr,
    pub port: u16,
    pub etcd_port: u16,
    pub etcd_peer_port: u16,
    /// The range of the addresses of Services.
    pub services: String,
}

impl Settings {
    pub fn server_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, self.port))
    }

    pub fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.port)
    }

    fn component(&self, name: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(name);
        command
    }

    pub fn etcd(&self) -> Command {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        let mut command = self.component("etcd");
        command
            .arg(path_flag("data-dir", &self.folder.join("etcd")))
            .arg(flag("listen-client-urls", &client))
            .arg(flag("advertise-client-urls", &client))
            .arg(flag("listen-peer-urls", &peer))
            .arg(flag("initial-advertise-peer-urls", &peer))
            .arg(flag("initial-cluster", &format!("default={peer}")))
            // The data live as long as the machine at most.
            .args(["--unsafe-no-fsync", "--log-level=warn"]);
        command
    }

    pub fn api_server(&self) -> Command {
        let mut command = self.component("kube-apiserver");
        command
            .arg(flag("etcd-servers", &format!("http://127.0.0.1:{}", self.etcd_port)))
            .arg(flag("bind-address", &self.address.to_string()))
            .arg(flag("advertise-address", &self.address.to_string()))
            .arg(flag("secure-port", &self.port.to_string()))
            .arg(flag("service-cluster-ip-range", &self.services))
            .arg(path_flag("cert-dir", &self.files.server()))
            .arg(path_flag("token-auth-file", &self.files.tokens()))
            .arg(path_flag("service-account-key-file", &self.files.service_account_public_key()))
            .arg(path_flag("service-account-signing-key-file", &self.files.service_account_key()))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
            .args(["--allow-privileged", "--profiling=false"]);
        command
    }

    /// To be started once the API server is ready.
    pub fn controller_manager(&self) -> Command {
        let mut command = self.component("kube-controller-manager");
        command
            .arg(path_flag("kubeconfig", &self.files.kubeconfig(&CONTROLLER_MANAGER)))
            .arg(path_flag("service-account-private-key-file", &self.files.service_account_key()))
            .arg(path_flag("root-ca-file", &self.files.server_certificate()))
            .args(["--use-service-account-credentials", "--leader-elect=false", "--secure-port=0"])
            .args(["--kube-api-qps=300", "--kube-api-burst=600", "--profiling=false"]);
        command
    }
}

pub fn flag(name: &str, value: &str) -> String {
    format!("--{name}={value}")
}

pub fn path_flag(name: &str, value: &Path) -> String {
    flag(name, &value.display().to_string())
}
