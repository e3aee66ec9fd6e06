//! Ports and accounts → the server's configuration files.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::{ADMIN, INGEST, READER};
use crate::{User, cache};

pub struct Settings {
    pub folder: PathBuf,
    pub http: u16,
    pub native: u16,
    pub pods: Option<Ipv4Addr>,
}

impl Settings {
    pub fn log(&self) -> PathBuf {
        self.folder.join("clickhouse.log")
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.join("config.xml")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn write(&self) -> anyhow::Result<()> {
        let users = self.folder.join("users.xml");
        fs::write(&users, users_xml()).with_context(|| format!("write {}", users.display()))?;
        let config = self.config_file();
        fs::write(&config, self.config_xml()).with_context(|| format!("write {}", config.display()))
    }

    fn config_xml(&self) -> String {
        let Self { folder, http, native, pods } = self;
        let pods = pods.map(|address| format!("<listen_host>{address}</listen_host>")).unwrap_or_default();
        let (folder, log) = (folder.display(), self.log());
        let log = log.display();
        format!(
            "<clickhouse>
  <logger><level>information</level><log>{log}</log><errorlog>{log}.errors</errorlog></logger>
  <listen_host>127.0.0.1</listen_host>{pods}
  <http_port>{http}</http_port>
  <tcp_port>{native}</tcp_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/data/tmp/</tmp_path>
  <users_config>{folder}/users.xml</users_config>
  <max_server_memory_usage>3000000000</max_server_memory_usage>
  <http_handlers>
    <rule>
      <url>/metrics</url>
      <handler>
        <type>prometheus</type>
        <endpoint>/metrics</endpoint>
        <metrics>true</metrics><events>true</events><asynchronous_metrics>true</asynchronous_metrics>
      </handler>
    </rule>
    <defaults/>
  </http_handlers>
</clickhouse>
"
        )
    }
}

/// The accounts. The server's own endless query runs as `default` without a
/// password, which the library does not let us change; it may do no more.
fn users_xml() -> String {
    let accounts = [
        account(ADMIN, "default", "<access_management>1</access_management>"),
        account(INGEST, "default", "<grants><query>GRANT SELECT, INSERT ON *.*</query></grants>"),
        account(READER, "reader", "<grants><query>GRANT SELECT ON *.*</query></grants>"),
    ]
    .concat();
    // readonly=2: a reader may still set limits per query, as the API does.
    format!(
        "<clickhouse>
  <users>
    <default>
      <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
{accounts}  </users>
  <profiles>
    <default/>
    <reader>
      <readonly>2</readonly>
      <max_execution_time>60</max_execution_time>
      <max_memory_usage>1000000000</max_memory_usage>
    </reader>
  </profiles>
  <quotas><default/></quotas>
</clickhouse>
"
    )
}

fn account(user: User, profile: &str, rights: &str) -> String {
    let User { name, password } = user;
    let hash = cache::hex(&Sha256::digest(password));
    format!(
        "    <{name}><password_sha256_hex>{hash}</password_sha256_hex><networks><ip>::/0</ip></networks>\
         <profile>{profile}</profile><quota>default</quota>{rights}</{name}>\n"
    )
}
