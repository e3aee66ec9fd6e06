//! A stack → one archive with what explains a failure: logs of all components
//! and pods, and the objects of the cluster, without Secrets.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::state::State;

/// What is asked of the cluster, and the name for the answer.
const QUESTIONS: [(&str, &[&str]); 5] = [
    ("nodes.yaml", &["get", "nodes", "--output=yaml"]),
    ("events.txt", &["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"]),
    ("pods.txt", &["describe", "pods", "--all-namespaces"]),
    (
        "objects.yaml",
        &[
            "get",
            "all,configmaps,endpointslices,poddisruptionbudgets,networkpolicies,leases",
            "--all-namespaces",
            "--output=yaml",
        ],
    ),
    ("datapipelines.yaml", &["get", "datapipelines", "--all-namespaces", "--output=yaml"]),
];

/// Writes the archive into `folder` and gives its path. What cannot be had is
/// told in the archive: a bundle of a broken stack is the one that is needed.
pub fn bundle(state: &State, folder: &Path) -> anyhow::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?.as_secs();
    let name = format!("caudal-{}-{seconds}", state.name);
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let path = folder.join(format!("{name}.tar.gz"));
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let mut archive = Builder::new(GzEncoder::new(file, Compression::fast()));
    archive.follow_symlinks(false);
    let client = state.layout.client();
    for (file, question) in QUESTIONS {
        let answer = client.kubectl(question).unwrap_or_else(|error| format!("{error:#}\n"));
        append_text(&mut archive, &format!("{name}/{file}"), &answer)?;
    }
    for (source, target) in files(state) {
        if source.is_dir() {
            archive.append_dir_all(format!("{name}/{target}"), &source)
        } else if source.is_file() {
            archive.append_path_with_name(&source, format!("{name}/{target}"))
        } else {
            Ok(())
        }
        .with_context(|| format!("add {} to {}", source.display(), path.display()))?;
    }
    archive.into_inner().and_then(GzEncoder::finish).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn files(state: &State) -> Vec<(PathBuf, String)> {
    let kubernetes = &state.layout.data;
    let mut files = vec![
        (state.supervisor_log(), "supervisor.log".to_owned()),
        (state.layout.run.join("state.json"), "state.json".to_owned()),
        (state.layout.logs(), "components".to_owned()),
        (kubernetes.join("pods"), "pods".to_owned()),
    ];
    for (part, log) in [
        ("kafka", "kafka.log"),
        ("clickhouse", "clickhouse.log"),
        ("clickhouse", "clickhouse.log.errors"),
        ("clickhouse", "output.log"),
    ] {
        files.push((state.data().join(part).join(log), format!("{part}/{log}")));
    }
    files
}

fn append_text<W: std::io::Write>(archive: &mut Builder<W>, name: &str, text: &str) -> anyhow::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, name, text.as_bytes()).with_context(|| format!("add {name}"))
}
