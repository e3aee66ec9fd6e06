//! Who may talk to the API server → keys, tokens and kubeconfig files.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::cache;

/// One who talks to the API server; the name is also that of the file.
pub struct Identity<'a> {
    pub name: &'a str,
    pub user: &'a str,
    pub group: &'a str,
}

pub const ADMIN: Identity<'_> = Identity { name: "admin", user: "admin", group: "system:masters" };
pub const CONTROLLER_MANAGER: Identity<'_> = Identity {
    name: "controller-manager",
    user: "system:kube-controller-manager",
    group: "system:kube-controller-manager",
};

/// The files of one cluster, below its folder.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub fn kubeconfig(&self, identity: &Identity<'_>) -> PathBuf {
        self.folder.join(format!("{}.kubeconfig", identity.name))
    }

    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    /// Where the API server puts the certificate that it makes for itself.
    pub fn server(&self) -> PathBuf {
        self.folder.join("server")
    }

    pub fn server_certificate(&self) -> PathBuf {
        self.server().join("apiserver.crt")
    }

    pub fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-accounts.key")
    }

    pub fn service_account_public_key(&self) -> PathBuf {
        self.folder.join("service-accounts.pub")
    }

    /// Writes everything for a server at `url`.
    pub fn write(&self, url: &str, identities: &[&Identity<'_>]) -> anyhow::Result<()> {
        let mut tokens = Vec::new();
        for identity in identities {
            let token = token();
            let Identity { name, user, group } = identity;
            writeln!(tokens, "{token},{user},{name},\"{group}\"")?;
            write_secret(&self.kubeconfig(identity), self.kubeconfig_text(url, name, &token).as_bytes())?;
        }
        write_secret(&self.tokens(), &tokens)?;
        self.write_service_account_keys()
    }

    fn kubeconfig_text(&self, url: &str, name: &str, token: &str) -> String {
        let authority = self.server_certificate();
        format!(
            "apiVersion: v1
kind: Config
clusters: [{{name: caudal, cluster: {{server: {url}, certificate-authority: {}}}}}]
users: [{{name: {name}, user: {{token: {token}}}}}]
contexts: [{{name: caudal, context: {{cluster: caudal, user: {name}}}}}]
current-context: caudal
",
            authority.display()
        )
    }

    fn write_service_account_keys(&self) -> anyhow::Result<()> {
        let (key, public) = (self.service_account_key(), self.service_account_public_key());
        let curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1"];
        openssl(
            Command::new("openssl").args(["genpkey", "-algorithm", "EC"]).args(curve).arg("-out").arg(&key),
        )?;
        openssl(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(public))
    }
}

pub fn openssl(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("make a key: start openssl")?;
    ensure!(output.status.success(), "make a key: openssl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn token() -> String {
    cache::hex(&rand::random::<[u8; 16]>())
}

fn write_secret(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text)).with_context(|| format!("write {}", path.display()))
}
