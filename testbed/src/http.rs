//! A request to a part on this machine → status and body.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Posts `body`. It speaks HTTP/1.0, whose answers end with the connection.
pub fn post(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    limit: Duration,
) -> anyhow::Result<Answer> {
    let mut stream =
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("connect to port {port}"))?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut request = Vec::new();
    write!(request, "POST {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len())?;
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n")?;
    }
    write!(request, "\r\n{body}")?;
    stream.write_all(&request).context("send the request")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("read the answer")?;
    parse(&bytes).with_context(|| format!("understand the answer of port {port}"))
}

fn parse(bytes: &[u8]) -> anyhow::Result<Answer> {
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("no end of headers")?;
    let head = String::from_utf8_lossy(&bytes[..split]);
    let status = head.split(' ').nth(1).context("no status")?.parse().context("no status number")?;
    Ok(Answer { status, body: String::from_utf8_lossy(&bytes[split + 4..]).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_status_and_body() {
        let answer = parse(b"HTTP/1.0 404 Not Found\r\nX: y\r\n\r\nno\r\n\r\nsuch").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "no\r\n\r\nsuch"));
        assert!(parse(b"HTTP/1.0 200 OK\r\n").is_err());
    }
}
