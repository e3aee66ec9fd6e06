//! What is killed comes back, and nothing is lost or doubled. These break
//! shared parts, so each runs alone.

use std::time::Duration;

use anyhow::{Context, ensure};
use caudal_e2e::manifest::{note_messages, notes, with};
use caudal_e2e::scene::{PATIENCE, SYSTEM};
use caudal_e2e::{Scene, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Publishes in the background so that something is always under way.
fn publish_under_way(
    scene: &Scene,
    name: &str,
    count: u64,
    break_it: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let messages = note_messages(0..count);
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            for batch in messages.chunks(2_000) {
                scene.publish(name, batch)?;
            }
            anyhow::Ok(())
        });
        let broken = scene.wait_rows(name, 2_000).and_then(|_| break_it());
        publisher.join().expect("the publisher does not panic")?;
        broken
    })?;
    scene.wait_balance(name, "id", &messages)
}

fn kill_in_node(scene: &Scene, program: &str, containing: &str) -> anyhow::Result<()> {
    let pids = scene.stack().pids_in_node(program, containing)?;
    ensure!(!pids.is_empty(), "no process {program} with {containing:?} in the node");
    for pid in pids {
        kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("kill -9 {pid}"))?;
    }
    Ok(())
}

#[test]
fn an_ingestor_killed_under_load_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let scene = Scene::alone("kill-ingestor")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    publish_under_way(&scene, "notes", 60_000, || {
        for _ in 0..3 {
            kill_in_node(&scene, "caudal-ingestor", "")?;
            scene.wait_ready("notes")?;
        }
        Ok(())
    })
}

#[test]
fn clickhouse_killed_under_load_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let scene = Scene::alone("kill-clickhouse")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    publish_under_way(&scene, "notes", 60_000, || {
        for _ in 0..3 {
            let before = scene.rows("notes").map_or(0, |rows| rows.len());
            let mut clickhouse = scene.stack().clickhouse();
            clickhouse.kill()?;
            clickhouse.restart()?;
            scene.wait_rows("notes", before + 1)?;
        }
        Ok(())
    })
}

#[test]
fn a_broker_restart_under_load_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let scene = Scene::alone("restart-kafka")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    publish_under_way(&scene, "notes", 40_000, || {
        let mut kafka = scene.stack().kafka();
        kafka.kill()?;
        kafka.restart()
    })
}

#[test]
fn the_operator_killed_in_the_middle_converges() -> anyhow::Result<()> {
    let scene = Scene::alone("kill-operator")?;
    scene.apply(&notes("one"))?;
    kill_in_node(&scene, "caudal-operator", "")?;
    scene.apply(&notes("two"))?;
    scene.wait_ready("one")?;
    scene.wait_ready("two")
}

#[test]
fn delete_says_what_holds_it_back_and_goes_on_when_it_can() -> anyhow::Result<()> {
    let scene = Scene::alone("blocked-delete")?;
    scene.apply(&with(notes("notes"), "/spec/deletionPolicy", json!("Delete")))?;
    scene.wait_ready("notes")?;
    let mut clickhouse = scene.stack().clickhouse();
    clickhouse.kill()?;
    scene.kubectl(&["delete", "datapipeline", "notes", "--wait=false"])?;
    let message = scene.wait_condition("notes", "Ready", "False", "DeletionBlocked");
    clickhouse.restart()?;
    let message = message?;
    assert!(message.contains("abandon-external"), "{message}");
    eventually("the pipeline is gone", PATIENCE, || {
        let left = scene.kubectl(&["get", "datapipelines", "--output", "name"])?;
        Ok(if left.trim().is_empty() { Ok(()) } else { Err(left) })
    })
}

#[test]
fn uninstalling_the_chart_loses_nothing() -> anyhow::Result<()> {
    let scene = Scene::alone("uninstall")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    let messages = note_messages(0..500);
    scene.publish("notes", &messages[..300])?;
    scene.wait_rows("notes", 300)?;
    let stack = scene.stack();
    stack.helm(&["uninstall", "caudal", "--namespace", SYSTEM, "--wait"])?;
    let kept = scene.object("datapipeline", "notes");
    let stored =
        scene.publish("notes", &messages[300..]).and_then(|_| scene.wait_balance("notes", "id", &messages));
    stack.install_chart()?;
    kept?;
    stored?;
    scene.wait_ready("notes")?;
    eventually("every pipeline is served again", Duration::from_secs(60), || {
        let lease = stack.kubectl(&["--namespace", SYSTEM, "get", "lease", "--output", "name"])?;
        Ok(if lease.trim().is_empty() { Err("no lease".to_owned()) } else { Ok(()) })
    })
}
