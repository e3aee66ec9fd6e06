//! Answers that a healthy ClickHouse gives too rarely to wait for: a stand-in
//! speaks them, word for word as the real one does.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use caudal_testbed::clickhouse::READER;
use serde_json::json;

use crate::common::{Api, Pipeline, clickhouse};

/// Serves `answer(head, body)` on a port of its own, one connection per
/// request; sends the head of every request.
fn stand_in(answer: fn(&str, &str) -> Vec<u8>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (head, body) = read(&stream);
            let _ = sender.send(head.clone());
            let _ = (&stream).write_all(&answer(&head, &body));
        }
    });
    (url, requests)
}

fn read(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// What the real one answers to this.
fn passed_on(head: &str, body: &str) -> Vec<u8> {
    let mut server = TcpStream::connect(("127.0.0.1", clickhouse().http_port())).unwrap();
    write!(server, "{head}Connection: close\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    answer
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
        } else if body.contains("__ledger") || body.contains("system.settings") {
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
fn a_profile_that_would_cut_answers_short_is_not_served() {
    let (url, _requests) = stand_in(|line, body| {
        if line.contains("max_execution_time") {
            let text = "Code: 452. DB::Exception: Setting max_memory_usage shouldn't be greater than 1000. (SETTING_CONSTRAINT_VIOLATION)";
            whole("500 Internal Server Error", "", text)
        } else if body.contains("system.settings") {
            whole("200 OK", "", "[\"read_overflow_mode\"]\n")
        } else {
            whole("200 OK", "", ROW)
        }
    });
    let api = served_by(url);
    for _ in 0..2 {
        let (status, body) = api.json("/v1/records");
        assert_eq!((status, &body["code"]), (500, &json!("Internal")));
    }
}

#[test]
fn a_walk_of_the_table_is_not_refused_for_the_rows_that_lie_ahead() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64", "text: String"], &["id"]);
    let sink = &pipeline.plan.sink;
    let fill = format!(
        "INSERT INTO `{}`.`{}` SELECT number, toString(number), 1, 0, number, now64(3) FROM numbers(50000)",
        sink.database, sink.table
    );
    clickhouse().query(&fill).unwrap();
    // As if the limit, or the table, were of another size.
    let (url, _requests) = stand_in(|head, body| {
        passed_on(&head.replace("max_rows_to_read=2000000000", "max_rows_to_read=10000"), body)
    });
    let mut plan = pipeline.plan.clone();
    plan.sink.connection.url = url;
    let api = Api::serve_plan(&plan, Some(READER));
    for order in ["id", "id.desc"] {
        let page = api.ok(&format!("/v1/records?limit=3&order={order}"));
        let cursor = page["meta"]["next_cursor"].as_str().unwrap();
        let next = api.ok(&format!("/v1/records?limit=3&order={order}&cursor={cursor}"));
        assert_eq!(next["meta"]["count"], 3);
    }
    let (status, body) = api.json("/v1/records?order=text&limit=3");
    assert_eq!((status, &body["code"]), (400, &json!("QueryTooExpensive")), "any other order is");
    let (status, body) = api.json("/data?offset=1");
    assert_eq!((status, body.as_array().map(Vec::len)), (200, Some(10)));
}

#[test]
fn clickhouse_itself_refuses_a_result_that_is_too_large() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64"], &["id"]);
    let rows: Vec<_> = (0..200).map(|id| json!({"id": id})).collect();
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let (url, _requests) = stand_in(|head, body| {
        passed_on(&head.replace("max_result_bytes=33554432", "max_result_bytes=1000"), body)
    });
    let mut plan = pipeline.plan.clone();
    plan.sink.connection.url = url;
    let api = Api::serve_plan(&plan, Some(READER));
    assert_eq!(api.ok("/v1/records?limit=5")["meta"]["count"], 5);
    let (status, body) = api.json("/v1/records?limit=200");
    assert_eq!((status, &body["code"]), (400, &json!("AnswerTooLarge")));
}

#[test]
fn many_who_ask_for_the_watermark_ask_the_database_once_and_wait_for_a_moment_only() {
    const SLOW: Duration = Duration::from_secs(4);
    let (url, requests) = stand_in(|_, _| {
        std::thread::sleep(SLOW);
        whole("200 OK", "", "[0, 0, 3, 3, 1000, 1000, 2000, 2, 1, 0, 0, 2, 1, 0, 0]\n")
    });
    let api = served_by(url);
    let answers: Vec<(u16, Duration)> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let started = Instant::now();
                    (api.get("/v1/watermark").status().as_u16(), started.elapsed())
                })
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(requests.try_iter().count(), 1);
    let shed: Vec<_> = answers.iter().filter(|(status, _)| *status != 200).collect();
    assert!((10..20).contains(&shed.len()), "one waits for the database: {answers:?}");
    assert!(shed.iter().all(|(status, after)| *status == 503 && *after < SLOW), "{answers:?}");
    assert!(api.metric("caudal_api_shed_total", "").unwrap() >= 10.0);
}

#[test]
fn a_busy_clickhouse_is_overloaded_and_none_of_ours_that_was_shed() {
    let (url, _requests) = stand_in(|_, _| {
        whole(
            "500 Internal Server Error",
            "",
            "Code: 745. DB::Exception: CPU is overloaded. (SERVER_OVERLOADED)",
        )
    });
    let api = served_by(url);
    let (status, body) = api.json("/v1/records");
    assert_eq!((status, &body["code"]), (503, &json!("Overloaded")));
    assert_eq!(api.metric("caudal_api_shed_total", ""), Some(0.0));
    let (url, _requests) = stand_in(|_, _| whole("502 Bad Gateway", "", "<h1>502 Bad Gateway</h1>"));
    let api = served_by(url);
    assert_eq!(api.json("/v1/records").1["code"], "DatabaseUnavailable");
    assert_eq!(api.json("/data").0, 500);
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
