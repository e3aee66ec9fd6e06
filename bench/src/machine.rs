//! The machine → what a reader must know of it: processor, memory, kernel, versions. No names, no addresses.

use serde_json::{Value, json};

pub fn describe() -> Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let kibibytes: u64 = value(&memory, "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    json!({
        "processor": value(&cpu, "model name"),
        "family_model": format!("{}/{}", value(&cpu, "cpu family"), value(&cpu, "model")),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory_gib": kibibytes >> 20,
        "kernel": read("/proc/sys/kernel/osrelease").split('-').next().unwrap_or_default(),
        "load": read("/proc/loadavg").split(' ').next(),
        "librdkafka": rdkafka::util::get_rdkafka_version().1,
        "caudal": env!("CARGO_PKG_VERSION"),
    })
}

/// The first `name : value` of a file.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or("", |(_, value)| value.trim())
}
