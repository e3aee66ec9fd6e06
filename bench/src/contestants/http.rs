//! The cheapest HTTP client there is: one kept-alive connection, one write per part of a request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, bail};
use caudal_testbed::clickhouse::ADMIN;

pub struct Connection {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connect to ClickHouse")?;
        stream.set_nodelay(true)?;
        Ok(Self { answers: BufReader::new(stream.try_clone()?), stream })
    }

    /// Runs the statement `query` with `body` as its data.
    pub fn post(&mut self, query: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let head = format!(
            "POST /?async_insert=0&query={} HTTP/1.1\r\nHost: clickhouse\r\nX-ClickHouse-User: {}\r\n\
             X-ClickHouse-Key: {}\r\nContent-Length: {}\r\n\r\n",
            encode(query),
            ADMIN.name,
            ADMIN.password,
            body.len()
        );
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body)?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Vec<u8>> {
        let ok = self.line()?.contains(" 200 ");
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16)?;
                let end = body.len() + size;
                body.resize(end + 2, 0);
                self.answers.read_exact(&mut body[end - size..])?;
                body.truncate(end);
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length, 0);
            self.answers.read_exact(&mut body)?;
        }
        if !ok {
            bail!("ClickHouse refused: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
