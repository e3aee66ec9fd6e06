//! Measures and prints tables of ratios; keeps the raw figures beside them, in `target/bench/`.

mod compare;
mod contestants;
mod freshness;
mod instructions;
mod machine;
mod memory;
mod memory_limits;
mod parts;
mod process;
mod records;
mod sample;
mod scale;
mod server;
mod table;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use contestants::{Contestant, bare, limit, plain};
use records::Workload;
use table::Table;

/// Caudal beside other ways from Kafka into ClickHouse; all tables, or the one named.
/// Build it with --release. The table `memory` needs root, as the local stack does.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Messages in a topic
    #[arg(long, default_value_t = 2_000_000, global = true)]
    messages: u64,
    /// Runs of each; the tables show the median
    #[arg(long, default_value_t = 3, global = true)]
    runs: usize,
    /// Only this kind of records, where a table has both
    #[arg(long, global = true)]
    workload: Option<Workload>,
}

#[derive(Subcommand)]
enum Command {
    /// Rows per CPU-second of everybody, as ratios
    Compare {
        /// Only these, to try something; can be repeated
        #[arg(long)]
        only: Vec<Contestant>,
    },
    /// How old rows are when they can be read
    Freshness,
    /// Throughput of the ingestor at memory limits of 128, 256 and 512 MiB
    MemoryLimits,
    /// Cost per row with more messages, 1 to 48 partitions, and two processes
    Scale {
        /// Ten million messages, too: some 4 GB of disk and several minutes
        #[arg(long)]
        huge: bool,
    },
    /// Idle memory of every program in real pods
    Memory,
    /// Instructions per decoded row, against a budget; needs valgrind
    Instructions,
    /// Decoding, in a process of its own
    #[command(hide = true)]
    Decode {
        passes: u64,
        /// With values in objects
        #[arg(long)]
        nested: bool,
    },
    /// A consumer in a process of its own
    #[command(hide = true)]
    BareConsume { brokers: String, topic: String, messages: u64 },
    /// A consumer and sender in a process of its own
    #[command(hide = true)]
    Limit { brokers: String, topic: String, rows: u64, http_port: u16, table: String, folder: PathBuf },
    /// A sink in a process of its own
    #[command(hide = true)]
    Plain { orders: String },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let workloads = args.workload.map_or(Workload::ALL.to_vec(), |one| vec![one]);
    let compare = |only: &[Contestant]| {
        workloads.iter().try_for_each(|&one| compare::run(one, args.messages, args.runs, only))
    };
    let freshness = || workloads.iter().try_for_each(|&one| freshness::run(one));
    let memory_limits = || memory_limits::run(&workloads, args.messages, args.runs);
    let scale = |huge| scale::run(args.messages, args.runs, huge);
    match &args.command {
        Some(Command::Compare { only }) if only.is_empty() => compare(&Contestant::ALL),
        Some(Command::Compare { only }) => compare(only),
        Some(Command::Freshness) => freshness(),
        Some(Command::MemoryLimits) => memory_limits(),
        Some(Command::Scale { huge }) => scale(*huge),
        Some(Command::Memory) => idle_memory(),
        Some(Command::Instructions) => instructions::run(&workloads),
        Some(Command::Decode { passes, nested }) => {
            workloads.iter().try_for_each(|&one| instructions::decode(one, *nested, *passes))
        }
        Some(Command::BareConsume { brokers, topic, messages }) => bare::run(brokers, topic, *messages),
        Some(Command::Limit { brokers, topic, rows, http_port, table, folder }) => {
            limit::run(brokers, topic, *rows, *http_port, table, folder)
        }
        Some(Command::Plain { orders }) => plain::run(orders),
        None => {
            instructions::run(&workloads)?;
            compare(&Contestant::ALL)?;
            freshness()?;
            memory_limits()?;
            scale(false)?;
            idle_memory()
        }
    }
}

fn idle_memory() -> anyhow::Result<()> {
    let mut table = Table::new(&["idle memory", "processes", "most MiB", "aim MiB", "ratio"]);
    for idle in memory::measure()? {
        let (mib, aim) = (compare::mebibytes(idle.bytes), compare::mebibytes(idle.aim));
        table.row([
            idle.program.into(),
            idle.processes.to_string(),
            format!("{mib:.1}"),
            format!("{aim:.0}"),
            format!("{:.2}", mib / aim),
        ]);
    }
    table.print();
    Ok(())
}
