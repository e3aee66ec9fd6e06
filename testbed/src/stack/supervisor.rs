//! The process that a stack lives and dies with: starts node, Kafka and
//! ClickHouse, tells the state, and acts on the parts when asked.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::control::{self, Act, Part, Request};
use super::instance::data_folder;
use super::state::{self, ClickHouseState, KafkaState, Phase, State};
use crate::clickhouse::ClickHouse;
use crate::image;
use crate::kafka::Kafka;
use crate::kubernetes::{Layout, Network, Node, cgroup_folders};
use crate::process::Keeper;

/// Runs until killed. The lock of the stack's number is the standard input.
pub fn run(name: &str, instance: u8) -> anyhow::Result<()> {
    nix::unistd::setsid().context("start a session")?;
    // What the starter had inherited (a lock, a pipe of make's) must not stay
    // open as long as the stack.
    // SAFETY: this process has opened nothing but its three standard streams.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    let network = Network { instance };
    let (run, data) = (state::folder(instance), data_folder(instance)?);
    let mut paths = cgroup_folders(&network.name())?;
    paths.extend([data.clone(), run.clone()]);
    let lock = File::from(io::stdin().as_fd().try_clone_to_owned().context("hold the lock")?);
    let keeper = Arc::new(Keeper::start_with(&paths, Stdio::from(lock))?);
    let layout = Layout::new(network, &data.join("kubernetes"), &run)?;
    let mut state = State {
        name: name.to_owned(),
        supervisor: std::process::id(),
        phase: Phase::Starting,
        layout,
        node: None,
        kafka: None,
        clickhouse: None,
    };
    state.write()?;
    match start(&mut state, &data, &keeper) {
        Ok(parts) => {
            state.phase = Phase::Ready;
            let listener = UnixListener::bind(state.control_socket()).context("listen for requests")?;
            state.write()?;
            watch(parts.node, state);
            serve(&listener, &Arc::new(parts.kafka), &Arc::new(parts.clickhouse))
        }
        Err(error) => {
            state.phase = Phase::Failed(format!("{error:#}"));
            state.write()?;
            // What the parts wrote stays, to be looked at, until the stack is ended.
            loop {
                thread::park();
            }
        }
    }
}

struct Parts {
    node: Node,
    kafka: Kafka,
    clickhouse: ClickHouse,
}

fn start(state: &mut State, data: &Path, keeper: &Arc<Keeper>) -> anyhow::Result<Parts> {
    let layout = &state.layout;
    fs::create_dir_all(&layout.data).with_context(|| format!("create {}", layout.data.display()))?;
    // The program may be built anew, and its file replaced, at any time.
    let program = layout.data.join("testbed");
    fs::copy("/proc/self/exe", &program).context("copy this program")?;
    let mut node = Node::start(layout.clone(), &program, keeper)?;
    let pods = Some(layout.network.host());
    let folder = |part: &str| {
        let folder = data.join(part);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display())).map(|()| folder)
    };
    let (kafka, clickhouse, ready) = thread::scope(|scope| {
        let kafka = scope.spawn(|| Kafka::start_in(&folder("kafka")?, pods, Arc::clone(keeper)));
        let clickhouse =
            scope.spawn(|| ClickHouse::start_in(&folder("clickhouse")?, pods, Arc::clone(keeper)));
        let ready = node.wait_ready().and_then(|()| layout.import(&image::pause()?));
        (kafka.join(), clickhouse.join(), ready)
    });
    let panicked = |_| anyhow::anyhow!("a thread panicked");
    let (kafka, clickhouse) = (kafka.map_err(panicked)??, clickhouse.map_err(panicked)??);
    ready?;
    link_tools(layout)?;
    state.node = Some(node.pid());
    state.kafka = Some(KafkaState {
        bootstrap_servers: kafka.bootstrap_servers(),
        sasl_bootstrap_servers: kafka.sasl_bootstrap_servers(),
    });
    state.clickhouse = Some(ClickHouseState { http_port: clickhouse.http_port() });
    Ok(Parts { node, kafka, clickhouse })
}

/// A link named after a component selects it.
fn link_tools(layout: &Layout) -> anyhow::Result<()> {
    let folder = super::programs_folder(&layout.run);
    fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
    for tool in ["kubectl", "helm"] {
        let link = folder.join(tool);
        symlink(&layout.binary, &link).with_context(|| format!("create {}", link.display()))?;
    }
    Ok(())
}

/// Tells when the node ends, which it should not.
fn watch(mut node: Node, mut state: State) {
    thread::spawn(move || {
        loop {
            if let Err(error) = node.check_runs() {
                state.phase = Phase::Failed(format!("{error:#}"));
                if let Err(error) = state.write() {
                    eprintln!("{error:#}");
                }
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
}

fn serve(listener: &UnixListener, kafka: &Arc<Kafka>, clickhouse: &Arc<ClickHouse>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().context("accept a request")?;
        let (kafka, clickhouse) = (Arc::clone(kafka), Arc::clone(clickhouse));
        thread::spawn(move || handle(&stream, &kafka, &clickhouse));
    }
}

fn handle(stream: &UnixStream, kafka: &Kafka, clickhouse: &ClickHouse) {
    let done = control::answer(stream, |request: &Request| {
        match (request.part, request.act) {
            (_, Act::Look) => {}
            (Part::Kafka, Act::Kill) => kafka.kill(),
            (Part::Kafka, Act::Restart) => kafka.restart()?,
            (Part::Kafka, Act::Pause) => kafka.pause()?,
            (Part::Kafka, Act::Resume) => kafka.resume()?,
            (Part::ClickHouse, Act::Kill) => clickhouse.kill(),
            (Part::ClickHouse, Act::Restart) => clickhouse.restart()?,
            (Part::ClickHouse, Act::Pause) => clickhouse.pause()?,
            (Part::ClickHouse, Act::Resume) => clickhouse.resume()?,
        }
        Ok(match request.part {
            Part::Kafka => kafka.pid(),
            Part::ClickHouse => clickhouse.pid(),
        })
    });
    if let Err(error) = done {
        eprintln!("{error:#}");
    }
}
