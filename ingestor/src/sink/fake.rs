//! A scripted ClickHouse for tests: one answer per kind of request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a request asks, by a word in its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Table,
    ReadBack,
    Units,
    Insert,
    Ledger,
}

/// Kinds and bodies of requests, in order.
type Log = Arc<Mutex<Vec<(Asked, Vec<u8>)>>>;

/// Answers, and what was asked so far.
pub struct Fake {
    pub url: String,
    asked: Log,
}

impl Fake {
    /// `answer` gives the body for the nth request of a kind.
    pub fn start(answer: impl Fn(Asked, usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, seen) = (answer.clone(), seen.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &*answer, &seen));
            }
        });
        Self { url, asked }
    }

    /// Bodies of the requests of a kind.
    pub fn bodies(&self, kind: Asked) -> Vec<Vec<u8>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(one, _)| *one == kind).map(|(_, body)| body.clone()).collect()
    }
}

fn serve(
    stream: &TcpStream,
    answer: &(impl Fn(Asked, usize) -> String + ?Sized),
    seen: &Mutex<Vec<(Asked, Vec<u8>)>>,
) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let text = format!("{head}{}", String::from_utf8_lossy(&body));
        let kind = match () {
            () if text.contains("system.columns") => Asked::Table,
            () if text.contains("groupArray((unit") => Asked::ReadBack,
            () if text.contains("block_structure") => Asked::Units,
            () if text.contains("input%28") => Asked::Ledger,
            () => Asked::Insert,
        };
        let nth = {
            let mut seen = seen.lock().unwrap();
            seen.push((kind, body));
            seen.iter().filter(|(one, _)| *one == kind).count() - 1
        };
        let body = answer(kind, nth);
        let head =
            format!("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=30\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut writer = stream;
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}
