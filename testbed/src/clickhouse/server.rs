//! Settings → a server process that answers.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::ADMIN;
use super::config::Settings;
use super::install::Server;
use crate::process::{Keeper, Process};
use crate::{User, http, wait};

const START: Duration = Duration::from_mins(1);
/// The last statement never ends, and with it neither does the server.
const SERVE: &str = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; \
     SELECT sleepEachRow(3) FROM system.numbers SETTINGS max_block_size = 1 FORMAT Null";

/// Starts the server and waits until it answers.
pub fn serve(settings: &Settings, server: &Server, keeper: &Arc<Keeper>) -> anyhow::Result<Process> {
    let mut command = Command::new(&server.launcher);
    command
        .arg(&server.library)
        .arg(option("config-file", &settings.config_file()))
        .arg(option("path", &settings.data()))
        .args(["--query", SERVE])
        .current_dir(&settings.folder);
    let output = settings.folder.join("output.log");
    let mut process = Process::start("ClickHouse", &mut command, &output, keeper)?;
    wait::until("ClickHouse to answer", START, || {
        process.check_runs()?;
        let answer = query(settings.http, ADMIN, "SELECT 1", Duration::from_secs(5));
        Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
    })?;
    Ok(process)
}

pub fn query(port: u16, user: User, sql: &str, limit: Duration) -> anyhow::Result<http::Answer> {
    let headers = [("X-ClickHouse-User", user.name), ("X-ClickHouse-Key", user.password)];
    // Without buffering, an error after the first rows would come with status 200.
    http::post(port, "/?wait_end_of_query=1", &headers, sql, limit)
}

fn option(name: &str, value: &Path) -> String {
    format!("--{name}={}", value.display())
}
