//! Apply the four examples, publish, wait, GET, and check the account:
//! published = stored + distinct dead letters + filtered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use caudal_examples::collect;
use caudal_examples::publish::publish;
use caudal_examples::{Generator, Message, Outcome, System};
use caudal_testbed::wait::eventually;
use reqwest::blocking::Client;
use serde_json::Value;

use crate::cluster::Cluster;

const PATIENCE: Duration = Duration::from_mins(3);

/// What to publish to each pipeline.
pub struct Load {
    pub messages: usize,
    pub malformed: f64,
    pub seed: u64,
}

/// How many messages became what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    published: u64,
    stored: u64,
    dead_letters: u64,
    filtered: u64,
}

pub fn run(cluster: &Cluster, load: &Load) -> anyhow::Result<()> {
    heading("apply the four examples");
    let namespace =
        format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{}"}}}}"#, cluster.namespace);
    print!("{}", cluster.kubectl(&["apply", "-f", "-"], &namespace)?);
    for system in System::ALL {
        print!("{}", cluster.kubectl(&["apply", "-f", "-"], system.manifest())?);
    }
    heading("wait until they are ready");
    let wait = ["wait", "--for=condition=Ready", "datapipelines", "--all", "--timeout=180s"];
    match cluster.kubectl(&wait, "") {
        Ok(ready) => print!("{ready}"),
        Err(error) => {
            let seen =
                cluster.kubectl(&["get", "datapipelines,pods", "--output", "wide"], "").unwrap_or_default();
            return Err(error.context(format!("the pipelines did not become ready:\n{seen}")));
        }
    }
    let client = collect::http();
    let mut accounts = Vec::new();
    heading("publish");
    for system in System::ALL {
        accounts.push((system, publish_and_account(cluster, &client, system, load)?));
    }
    heading("kubectl get datapipelines");
    print!("{}", cluster.kubectl(&["get", "datapipelines"], "")?);
    for system in System::ALL {
        show_answers(cluster, &client, system)?;
    }
    show_accounts(&accounts);
    show_next(cluster)
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn publish_and_account(
    cluster: &Cluster,
    client: &Client,
    system: System,
    load: &Load,
) -> anyhow::Result<Account> {
    let name = system.name();
    let topic =
        cluster.resolved(name, "topic")?.with_context(|| format!("{name} has no topic in its status"))?;
    let letters = cluster
        .resolved(name, "deadLetterTopic")?
        .with_context(|| format!("{name} has no dead-letter topic in its status"))?;
    let kafka = cluster.kafka()?;
    let observe = || -> anyhow::Result<Account> {
        // Each time anew: a forwarded port ends with the pod that it leads to.
        let base = cluster.base(name)?;
        let watermark: Value = collect::get(client, &format!("{}/v1/watermark", base.url))?.json()?;
        let distinct: BTreeSet<_> =
            collect::dead_letters(&kafka, &letters)?.iter().map(collect::DeadLetter::origin).collect();
        Ok(Account {
            published: sum(&watermark, "next_offset"),
            stored: collect::all_rows(client, &base.url)?.len() as u64,
            dead_letters: distinct.len() as u64,
            filtered: sum(&watermark, "filtered"),
        })
    };
    let before = eventually(&format!("what {name} has stored"), PATIENCE, observe)?;
    let messages: Vec<Message> =
        Generator::new(system, load.seed.wrapping_add(before.published), load.malformed)
            .starting_at(before.published + 1)
            .take(load.messages)
            .collect();
    let expected = Account {
        published: before.published + messages.len() as u64,
        stored: before.stored + count(&messages, |outcome| matches!(outcome, Outcome::Row(_))),
        dead_letters: before.dead_letters
            + count(&messages, |outcome| matches!(outcome, Outcome::DeadLetter(_))),
        filtered: before.filtered + count(&messages, |outcome| matches!(outcome, Outcome::Filtered)),
    };
    let start = Instant::now();
    publish(&kafka, &topic, messages)?;
    eventually(&format!("the account of {name} to balance"), PATIENCE, || {
        let found = observe()?;
        ensure!(found == expected, "expected {expected:?}, found {found:?}");
        Ok(())
    })?;
    println!(
        "{name:<11} {} messages, answered by the API after {:.1} s",
        load.messages,
        start.elapsed().as_secs_f64()
    );
    Ok(expected)
}

fn count(messages: &[Message], wanted: fn(&Outcome) -> bool) -> u64 {
    messages.iter().filter(|message| wanted(&message.outcome)).count() as u64
}

fn sum(watermark: &Value, what: &str) -> u64 {
    watermark["partitions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|partition| partition[what].as_u64())
        .sum()
}

fn show_answers(cluster: &Cluster, client: &Client, system: System) -> anyhow::Result<()> {
    let base = cluster.base(system.name())?;
    // The earlier system behind `/data` answered ten rows to who asked for no number.
    let limit = if system == System::People { "" } else { "?limit=2" };
    for path in [format!("{}{limit}", system.alias()), "/v1/records?limit=1".to_owned()] {
        let url = format!("{}{path}", base.url);
        heading(&format!("GET {url}"));
        let response = collect::get(client, &url)?;
        let status = response.status();
        let body: Value = response.json()?;
        ensure!(status.is_success(), "GET {url}: {status} {body}");
        println!("{}", serde_json::to_string_pretty(&body)?);
    }
    Ok(())
}

fn show_accounts(accounts: &[(System, Account)]) {
    heading("the account: published = stored + distinct dead letters + filtered");
    println!(
        "{:<11} {:>9} {:>9} {:>13} {:>9}",
        "PIPELINE", "PUBLISHED", "STORED", "DEAD LETTERS", "FILTERED"
    );
    for (system, Account { published, stored, dead_letters, filtered }) in accounts {
        println!("{:<11} {published:>9} {stored:>9} {dead_letters:>13} {filtered:>9}", system.name());
    }
}

fn show_next(cluster: &Cluster) -> anyhow::Result<()> {
    heading("next");
    if !cluster.is_local() {
        println!("kubectl --namespace {} get datapipelines", cluster.namespace);
        return Ok(());
    }
    let base = cluster.base("passengers")?;
    println!(
        "make publish PIPELINE=passengers MESSAGE='{{\"id\":\"me\",\"nombre\":\"Ada\",\"apellido\":\"Lovelace\",\"pais\":\"UK\"}}'
curl {url}/records/me
curl {url}/openapi.json
make demo-kubectl ARGS='-n demo get datapipelines -o wide'
make demo-status
make demo-down",
        url = base.url
    );
    Ok(())
}
