//! What is killed comes back, and nothing is lost or doubled. These break
//! shared parts, so each runs alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use caudal_e2e::manifest::{note_messages, notes, with};
use caudal_e2e::scene::{PATIENCE, SYSTEM};
use caudal_e2e::{Scene, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Publishes all the while `break_it` runs, then checks that everything came
/// out once.
fn under_load(
    scene: &Scene,
    name: &str,
    break_it: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    /// Bounded, should breaking take very long.
    const MOST: u64 = 200_000;
    const BATCH: u64 = 250;
    let stop = AtomicBool::new(false);
    let published = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut sent = 0;
            while sent < MOST && !stop.load(Ordering::Relaxed) {
                scene.publish(name, &note_messages(sent..sent + BATCH))?;
                sent += BATCH;
                std::thread::sleep(Duration::from_millis(50));
            }
            anyhow::Ok(sent)
        });
        let broken = wait_progress(scene, name, 0).and_then(|_| break_it());
        stop.store(true, Ordering::Relaxed);
        let published = publisher.join().expect("the publisher does not panic")?;
        broken.map(|()| published)
    })?;
    scene.wait_balance(name, "id", &note_messages(0..published))
}

/// Waits until more than `rows` rows are answered; how many.
fn wait_progress(scene: &Scene, name: &str, rows: u64) -> anyhow::Result<u64> {
    eventually(&format!("more than {rows} rows of {name}"), PATIENCE, || {
        let now = scene.watermark(name)?.rows;
        ensure!(now > rows, "{now} rows");
        Ok(now)
    })
}

/// Kills a program in the node's pods, once it runs; `containing` is in its
/// command line or environment. The processes killed.
fn kill_in_node(scene: &Scene, program: &str, containing: &str) -> anyhow::Result<Vec<i32>> {
    let pids = eventually(&format!("{program} {containing} runs"), PATIENCE, || {
        let pids = scene.stack().pids_in_node(program, containing)?;
        ensure!(!pids.is_empty(), "no such process");
        Ok(pids)
    })?;
    for pid in &pids {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).with_context(|| format!("kill -9 {pid}"))?;
    }
    Ok(pids)
}

/// The name of the pipeline's only ingestor pod.
fn ingestor_pod(scene: &Scene) -> anyhow::Result<String> {
    let selector = "app.kubernetes.io/component=ingestor";
    let pods = scene.kubectl(&["get", "pods", "--selector", selector, "--output", "name"])?;
    let mut names = pods.lines().filter_map(|line| line.strip_prefix("pod/"));
    let name = names.next().context("the pipeline has no ingestor pod")?.to_owned();
    ensure!(names.next().is_none(), "more than one ingestor pod: {pods}");
    Ok(name)
}

#[test]
fn an_ingestor_killed_under_load_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let scene = Scene::alone("kill-ingestor")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    let pod = ingestor_pod(&scene)?;
    under_load(&scene, "notes", || {
        for _ in 0..3 {
            let killed = kill_in_node(&scene, "caudal-ingestor", &pod)?;
            let before = scene.watermark("notes")?.rows;
            eventually("another process in its place", PATIENCE, || {
                let pids = scene.stack().pids_in_node("caudal-ingestor", &pod)?;
                let new = pids.iter().any(|pid| !killed.contains(pid));
                ensure!(new, "{pids:?}");
                Ok(())
            })?;
            wait_progress(&scene, "notes", before)?;
        }
        Ok(())
    })
}

#[test]
fn clickhouse_killed_under_load_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let scene = Scene::alone("kill-clickhouse")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    under_load(&scene, "notes", || {
        for _ in 0..3 {
            let before = scene.watermark("notes")?.rows;
            without_clickhouse(&scene, || Ok(()))?;
            wait_progress(&scene, "notes", before)?;
        }
        Ok(())
    })
}

/// Kills ClickHouse, and starts it again whatever `meanwhile` did.
fn without_clickhouse<T>(scene: &Scene, meanwhile: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut clickhouse = scene.stack().clickhouse();
    clickhouse.kill()?;
    let done = meanwhile();
    clickhouse.restart()?;
    done
}

#[test]
fn a_broker_restart_under_load_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let scene = Scene::alone("restart-kafka")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    under_load(&scene, "notes", || {
        let before = scene.watermark("notes")?.rows;
        let mut kafka = scene.stack().kafka();
        kafka.kill()?;
        kafka.restart()?;
        wait_progress(&scene, "notes", before).map(drop)
    })
}

#[test]
fn the_operator_killed_in_the_middle_converges() -> anyhow::Result<()> {
    let scene = Scene::alone("kill-operator")?;
    scene.apply(&notes("one"))?;
    // All replicas: whichever leads is among them.
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
    let message = without_clickhouse(&scene, || {
        scene.kubectl(&["delete", "datapipeline", "notes", "--wait=false"])?;
        scene.wait_condition("notes", "Ready", "False", "DeletionBlocked")
    })?;
    assert!(message.contains("abandon-external"), "{message}");
    eventually("the pipeline is gone", PATIENCE, || {
        let left = scene.kubectl(&["get", "datapipelines", "--output", "name"])?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(())
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
    stack.client().helm(&["uninstall", "caudal", "--namespace", SYSTEM, "--wait"])?;
    let kept = scene.object("datapipeline", "notes");
    let stored =
        scene.publish("notes", &messages[300..]).and_then(|_| scene.wait_balance("notes", "id", &messages));
    stack.install_chart()?;
    kept?;
    stored?;
    // One that did not exist before shows that the operator is at work again.
    scene.apply(&notes("later"))?;
    scene.wait_ready("later")?;
    scene.wait_ready("notes")
}
