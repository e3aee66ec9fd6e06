//! Answers that a healthy ClickHouse gives too rarely to wait for: a stand-in
//! speaks them, word for word as the real one does.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use crate::common::{Api, Pipeline, clickhouse};

/// Serves `answer(request line, body)` on a port of its own, one connection
/// per request; sends every request line.
fn stand_in(answer: fn(&str, &str) -> Vec<u8>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (line, body) = read(&stream);
            let _ = (&stream).write_all(&answer(&line, &body));
            let _ = sender.send(line);
        }
    });
    (url, requests)
}

fn read(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (first, String::from_utf8(body).unwrap())
}

fn whole(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// Chunks, with or without the one that ends them.
fn chunked(headers: &str, chunks: &[&str], complete: bool) -> Vec<u8> {
    let mut text =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{headers}\r\n");
    for chunk in chunks {
        write!(text, "{:x}\r\n{chunk}\r\n", chunk.len()).unwrap();
    }
    if complete {
        text += "0\r\n\r\n";
    }
    text.into_bytes()
}

fn served_by(url: String) -> Api {
    let mut plan = Pipeline::create(clickhouse(), &["id: Int64"], &["id"]).plan;
    plan.sink.connection.url = url;
    Api::serve_plan(&plan, None)
}

const ROW: &str = "[1, 1, 0, 0]\n";

#[test]
fn a_user_that_may_send_no_settings_is_served_without_them() {
    let (url, requests) = stand_in(|line, body| {
        if line.contains("max_execution_time") {
            let text = "Code: 164. DB::Exception: Cannot modify 'max_execution_time' setting in readonly mode. (READONLY)";
            whole("500 Internal Server Error", "X-ClickHouse-Exception-Code: 164\r\n", text)
        } else if body.contains("__ledger") {
            whole("200 OK", "", "")
        } else {
            whole("200 OK", "", ROW)
        }
    });
    let api = served_by(url);
    assert_eq!(api.ok("/v1/records")["data"], json!([{"id": 1}]));
    assert_eq!(api.ok("/v1/records")["data"], json!([{"id": 1}]));
    let with_settings = requests.try_iter().filter(|line| line.contains("max_execution_time")).count();
    assert_eq!(with_settings, 1, "it is tried once");
}

#[test]
fn a_failure_in_the_middle_is_never_a_short_answer() {
    type Answer = fn(&str, &str) -> Vec<u8>;
    let broken: [(&str, Answer, u16); 5] = [
        ("the connection ends", |_, _| chunked("", &[ROW, ROW], false), 503),
        (
            "the body is shorter than promised",
            |_, _| {
                let mut bytes = whole("200 OK", "", &ROW.repeat(3));
                bytes.truncate(bytes.len() - ROW.len());
                bytes
            },
            503,
        ),
        (
            "an exception of before 25.11",
            |_, _| {
                let text = "Code: 241. DB::Exception: (total) memory limit exceeded. (MEMORY_LIMIT_EXCEEDED) (version 25.8.1.1 (official build))\n";
                chunked("", &[ROW, text], true)
            },
            503,
        ),
        (
            "an exception with a tag",
            |_, _| {
                let message = "Code: 159. DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED)\n";
                let text = format!(
                    "\r\n__exception__\r\ntagtagtagtagtagt\r\n{message}{} tagtagtagtagtagt\r\n__exception__\r\n",
                    message.len()
                );
                chunked("X-ClickHouse-Exception-Tag: tagtagtagtagtagt\r\n", &[ROW, &text], true)
            },
            504,
        ),
        ("half a row", |_, _| chunked("", &[ROW, "[2, 1, "], true), 500),
    ];
    for (what, answer, expected) in broken {
        let (url, _requests) = stand_in(answer);
        let api = served_by(url);
        let (status, body) = api.json("/v1/records");
        assert_eq!(status, expected, "{what}: {body}");
        assert!(body.get("data").is_none(), "{what}");
    }
}

#[test]
fn a_status_that_is_not_200_is_no_answer_whatever_the_body() {
    let (url, _requests) = stand_in(|_, _| whole("502 Bad Gateway", "", ROW));
    assert!(served_by(url).get("/v1/records").status().as_u16() >= 500);
}
