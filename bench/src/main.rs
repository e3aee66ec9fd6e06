//! Measures and prints tables of ratios; keeps the raw figures beside them.

mod consume;
mod ingest;
mod memory;
mod parts;
mod process;
mod records;

use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::kafka::Kafka;
use clap::{Parser, Subcommand};
use serde_json::json;

use parts::Sample;

/// Rows per CPU-second against the limit, and idle memory. Needs root, as the local stack does.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Messages in the topic
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Runs of each; the table shows the median
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

#[derive(Subcommand)]
enum Command {
    /// Rows per CPU-second only
    Throughput,
    /// Idle memory only
    Memory,
    /// One run of the bare consumer, in a process of its own
    #[command(hide = true)]
    BareConsume { bootstrap: String, topic: String, messages: u64 },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.command {
        Some(Command::BareConsume { bootstrap, topic, messages }) => {
            consume::bare(bootstrap, topic, *messages)
        }
        Some(Command::Throughput) => throughput(&args),
        Some(Command::Memory) => idle_memory(),
        None => throughput(&args).and_then(|()| idle_memory()),
    }
}

fn throughput(args: &Args) -> anyhow::Result<()> {
    let (kafka, clickhouse) = (Kafka::start()?, ClickHouse::start()?);
    println!("publishing {} messages of about 200 bytes", args.messages);
    parts::fill_topic(&kafka, "bench", args.messages)?;
    let (mut bare, mut ingestor, mut server) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..args.runs {
        bare.push(consume::measure(&kafka.bootstrap_servers(), "bench", args.messages)?);
        let (sample, server_seconds) =
            ingest::measure(&kafka, &clickhouse, "bench", &format!("run_{run}"), args.messages)?;
        println!(
            "run {run}: bare {:.0} rows/CPU-s, ingestor {:.0} rows/CPU-s",
            rate(&bare[run]),
            rate(&sample)
        );
        ingestor.push(sample);
        server.push(server_seconds);
    }
    let raw =
        json!({"messages": args.messages, "bare": bare, "ingestor": ingestor, "server_cpu_seconds": server});
    println!("\nraw: {raw}\n");
    let (bare_rate, rate_in) = (median(bare.iter().map(rate)), median(ingestor.iter().map(rate)));
    println!(
        "{:<34} {:>14} {:>10} {:>12}",
        "rows per CPU-second (median)", "rows/CPU-s", "ratio", "peak MiB"
    );
    for (name, rate, samples) in
        [("librdkafka, bare consume", bare_rate, &bare), ("ingestor, exactly once", rate_in, &ingestor)]
    {
        let peak = samples.iter().map(|sample| sample.peak_bytes).max().unwrap_or_default() >> 20;
        println!("{name:<34} {rate:>14.0} {:>10.2} {peak:>12}", rate / bare_rate);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let all_in =
        median(ingestor.iter().zip(&server).map(|(s, server)| s.rows as f64 / (s.cpu_seconds + server)));
    println!("{:<34} {all_in:>14.0} {:>10.2}\n", "ingestor + ClickHouse server", all_in / bare_rate);
    Ok(())
}

fn idle_memory() -> anyhow::Result<()> {
    let measured = memory::measure()?;
    println!("{:<20} {:>10} {:>10} {:>10} {:>8}", "idle memory", "processes", "most MiB", "aim MiB", "ratio");
    for idle in measured {
        #[expect(clippy::cast_precision_loss, reason = "memory stays far below 2^52 bytes")]
        let (mib, aim) = (idle.bytes as f64 / 1_048_576.0, idle.aim as f64 / 1_048_576.0);
        println!("{:<20} {:>10} {mib:>10.1} {aim:>10.0} {:>8.2}", idle.program, idle.processes, mib / aim);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn rate(sample: &Sample) -> f64 {
    sample.rows as f64 / sample.cpu_seconds
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
