//! Credentials from a directory of files (a mounted Secret); never from
//! arguments or the environment, which other processes can read.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// What a connection Secret holds besides addresses. Absent files mean no
/// authentication and the well-known certificate authorities: of ClickHouse
/// those that come with this program, of Kafka those that librdkafka finds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub kafka: Option<Login>,
    pub clickhouse: Option<Login>,
    /// PEM files with the authorities to trust instead of the well-known ones.
    pub kafka_ca: Option<PathBuf>,
    pub clickhouse_ca: Option<PathBuf>,
}

/// A user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials")
            .field("kafka", &self.kafka)
            .field("clickhouse", &self.clickhouse)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads `{kafka,clickhouse}-{username,password}` and
    /// `{kafka,clickhouse}-ca.crt` from `directory`.
    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            kafka: login(directory, "kafka")?,
            clickhouse: login(directory, "clickhouse")?,
            kafka_ca: readable(directory.join("kafka-ca.crt"))?,
            clickhouse_ca: readable(directory.join("clickhouse-ca.crt"))?,
        })
    }
}

/// The path if there is a file. One that is there and can't be read is an
/// error: without it other authorities would be trusted.
fn readable(path: PathBuf) -> anyhow::Result<Option<PathBuf>> {
    Ok(file(&path)?.map(|_| path))
}

fn login(directory: &Path, part: &str) -> anyhow::Result<Option<Login>> {
    let Some(username) = file(&directory.join(format!("{part}-username")))? else { return Ok(None) };
    let password = file(&directory.join(format!("{part}-password")))?.unwrap_or_default();
    Ok(Some(Login { username, password }))
}

fn file(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there_and_shows_no_password() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("kafka-username"), "u\n").unwrap();
        std::fs::write(directory.path().join("kafka-password"), "hunter2").unwrap();
        let found = Credentials::read(directory.path()).unwrap();
        assert_eq!(found.kafka, Some(Login { username: "u".into(), password: "hunter2".into() }));
        assert_eq!(found.clickhouse, None);
        assert!(!format!("{found:?}").contains("hunter2"));
        assert_eq!(found.clickhouse_ca, None);
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_not_an_absent_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clickhouse-ca.crt");
        std::fs::write(&path, "pem").unwrap();
        assert_eq!(Credentials::read(directory.path()).unwrap().clickhouse_ca.as_ref(), Some(&path));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = Credentials::read(directory.path()).unwrap_err();
        assert!(error.to_string().contains("clickhouse-ca.crt"), "{error}");
    }
}
