//! Command line → the local stack, or single parts of it.

mod run;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use caudal_testbed::{Options, Stack, stack};
use clap::{Args, Parser, Subcommand};

/// Starts and stops the real parts that Caudal runs against.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Kubernetes, Kafka and ClickHouse, and install Caudal as it is in this repository.
    Up {
        #[command(flatten)]
        name: Name,
        /// Neither build nor install Caudal.
        #[arg(long)]
        parts_only: bool,
    },
    /// Check whether a stack can run here; download and build all that it is made of; start nothing.
    Prepare(Name),
    /// End a stack and remove all of it.
    Down(Name),
    /// Say what runs, where, and how much memory it takes.
    Status {
        /// Only this stack.
        #[arg(long)]
        name: Option<String>,
    },
    /// Write an archive with the logs and objects of a stack.
    Logs {
        #[command(flatten)]
        name: Name,
        /// The folder for the archive.
        #[arg(long, default_value_os_t = std::env::temp_dir())]
        into: PathBuf,
    },
    /// Run kubectl on a stack.
    Kubectl(Tool),
    /// Run Helm on a stack.
    Helm(Tool),
    /// Print what a shell needs to use a stack: eval "$(testbed env)".
    Env(Name),
    /// Run single parts on free loopback ports until this command is ended.
    Run {
        #[arg(required = true)]
        parts: Vec<run::Part>,
    },
    /// The first process of a node.
    #[command(hide = true)]
    Node { layout: PathBuf },
    /// The process that a stack lives in.
    #[command(hide = true)]
    Supervise { name: String, instance: u8 },
}

#[derive(Args)]
struct Name {
    /// The stack's name.
    #[arg(long, default_value = "default")]
    name: String,
}

#[derive(Args)]
struct Tool {
    #[command(flatten)]
    name: Name,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match act(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up { name: Name { name }, parts_only } => {
            Stack::up(&if parts_only { Options::parts_only(&name) } else { Options::named(&name) })?;
            print_all(&stack::describe(Some(&name))?);
        }
        Command::Prepare(Name { name }) => stack::prepare(&name)?,
        Command::Down(Name { name }) => {
            let found = stack::down(&name)?;
            println!("stack {name:?} {}", if found { "has ended" } else { "does not run" });
        }
        Command::Status { name } => print_all(&stack::describe(name.as_deref())?),
        Command::Logs { name, into } => println!("{}", stack::collect_logs(&name.name, &into)?.display()),
        Command::Kubectl(tool) => become_tool("kubectl", &tool)?,
        Command::Helm(tool) => become_tool("helm", &tool)?,
        Command::Env(Name { name }) => {
            let stack = Stack::attach(&name)?;
            println!("export KUBECONFIG='{}'", stack.kubeconfig().display());
            println!("export PATH='{}':\"$PATH\"", stack.programs().display());
            println!("export KAFKA='{}'", stack.kafka().bootstrap_servers());
            println!("export CLICKHOUSE='{}'", stack.clickhouse().url());
        }
        Command::Run { parts } => run::run(&parts)?,
        Command::Node { layout } => caudal_testbed::run_node(&layout)?,
        Command::Supervise { name, instance } => caudal_testbed::run_supervisor(&name, instance)?,
    }
    Ok(())
}

fn print_all(descriptions: &[String]) {
    if descriptions.is_empty() {
        println!("no stack runs");
    }
    for description in descriptions {
        print!("{description}");
    }
}

/// Replaces this process by the tool, so that terminals and signals are its own.
fn become_tool(name: &str, tool: &Tool) -> anyhow::Result<()> {
    let stack = Stack::attach(&tool.name.name)?;
    let error = stack.client().command(name).args(&tool.arguments).exec();
    Err(error).with_context(|| format!("run {name}"))
}
