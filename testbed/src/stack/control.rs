//! Requests to a stack's supervisor, which is the parent of Kafka and
//! ClickHouse: one JSON line there, one back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Kafka,
    ClickHouse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    Kill,
    Restart,
    Pause,
    Resume,
    /// Nothing but tell the process.
    Look,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub part: Part,
    pub act: Act,
}

/// The part's process afterwards.
pub type Reply = Result<Option<u32>, String>;

/// Asks the supervisor and waits for its reply.
pub fn ask(socket: &Path, part: Part, act: Act) -> anyhow::Result<Option<u32>> {
    let context = || format!("ask the stack's supervisor: {act:?} {part:?}");
    let mut stream = UnixStream::connect(socket).with_context(context)?;
    writeln!(stream, "{}", serde_json::to_string(&Request { part, act })?).with_context(context)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).with_context(context)?;
    match serde_json::from_str::<Reply>(&line).with_context(context)? {
        Ok(process) => Ok(process),
        Err(error) => bail!("{error}"),
    }
}

/// Reads one request, lets `act` do it and replies.
pub fn answer(
    stream: &UnixStream,
    act: impl FnOnce(&Request) -> anyhow::Result<Option<u32>>,
) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("read a request")?;
    let request: Request = serde_json::from_str(&line).context("understand a request")?;
    let reply: Reply = act(&request).map_err(|error| format!("{error:#}"));
    let mut stream = stream;
    writeln!(stream, "{}", serde_json::to_string(&reply)?).context("reply")
}
