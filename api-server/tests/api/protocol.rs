//! HTTP itself: HEAD, request ids, bounds of URLs, the admin port, the end.

use std::io::{Read, Write};
use std::net::TcpStream;

use caudal_testbed::wait::until;
use serde_json::json;

use crate::common::{Api, Pipeline, SOON, clickhouse};

fn pipeline() -> Pipeline {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64"], &["id"]);
    pipeline.insert(clickhouse(), &[json!({"id": 1})], |number| (0, number));
    pipeline
}

#[test]
fn head_answers_as_get_without_a_body() {
    let api = Api::serve(&pipeline());
    for path in ["/v1/records/1", "/data", "/v1/schema"] {
        let get = api.get(path);
        let head = api.request("HEAD", path).send().unwrap();
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(head.headers()["content-type"], get.headers()["content-type"]);
        assert!(head.headers().contains_key("content-length"), "{path}");
        assert_eq!(head.text().unwrap(), "");
    }
    assert_eq!(api.request("HEAD", "/data/2").send().unwrap().status(), 404);
}

#[test]
fn a_request_id_is_kept_or_made() {
    let api = Api::serve(&pipeline());
    let with = |id: &str| {
        let response = api.request("GET", "/v1/records").header("X-Request-Id", id).send().unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(with("order-17/a.b"), "order-17/a.b");
    let made = with("two words");
    assert_eq!(made.len(), 36);
    assert_ne!(made, with("two words"));
}

#[test]
fn a_long_url_is_refused() {
    let api = Api::serve(&pipeline());
    let (status, body) = api.json(&format!("/v1/records?id=eq.{}", "1".repeat(9000)));
    assert_eq!((status, &body["code"]), (414, &json!("UriTooLong")));
    let list = vec!["1"; 200].join(",");
    assert_eq!(api.ok(&format!("/v1/records?id=in.({list})"))["meta"]["count"], 1);
}

#[test]
fn what_is_no_http_harms_nobody() {
    let api = Api::serve(&pipeline());
    for bytes in
        [&b"\x16\x03\x01 hello\r\n\r\n"[..], b"GET /v1/records HTTP/1.1\r\n", b"GET \xff HTTP/1.1\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(&api.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(api.ok("/v1/records")["meta"]["count"], 1);
}

#[test]
fn the_admin_port_tells_health_and_numbers() {
    let api = Api::serve(&pipeline());
    assert_eq!(api.admin("/healthz").0, 200);
    assert_eq!(api.admin("/readyz").0, 200);
    api.ok("/v1/records");
    api.get("/v1/records/2");
    api.get("/nope/at/all");
    for (name, labels, value) in [
        ("caudal_api_requests_total", r#"route="/v1/records",code="200""#, 1.0),
        ("caudal_api_requests_total", r#"route="/v1/records/{key}",code="404""#, 1.0),
        ("caudal_api_requests_total", r#"route="other",code="404""#, 1.0),
        ("caudal_api_request_seconds_count", r#"route="/v1/records""#, 1.0),
        ("caudal_api_requests_in_flight", r#"namespace="test""#, 0.0),
        ("caudal_api_shed_total", "", 0.0),
    ] {
        assert_eq!(api.metric(name, labels), Some(value), "{name} {labels}");
    }
    assert!(api.metric("caudal_api_clickhouse_seconds_count", "").unwrap() >= 2.0);
    let (status, _) = api.json("/metrics");
    assert_eq!(status, 404, "never on the public port");
}

#[test]
fn an_idle_server_is_small() {
    let api = Api::serve(&pipeline());
    for _ in 0..50 {
        api.ok("/v1/records");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", api.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kibibytes < 40 * 1024, "{line}");
}

#[test]
fn at_the_end_requests_in_flight_are_answered_and_new_ones_find_no_door() {
    let mut api = Api::serve(&pipeline());
    // Half a request, whose rest comes after the signal.
    let mut stream = TcpStream::connect(&api.address).unwrap();
    stream.write_all(b"GET /v1/records HTTP/1.1\r\nHost: x\r\n").unwrap();
    // The admin port waits for nobody.
    let mut idler = TcpStream::connect(&api.admin_address).unwrap();
    idler.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    api.terminate();
    until("not ready", SOON, || Ok((api.admin("/readyz").0 == 503).then_some(()))).unwrap();
    // Who does not know yet is still answered.
    assert_eq!(api.get("/v1/records").status(), 200);
    stream.write_all(b"\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(api.ended_well());
    assert!(TcpStream::connect(&api.address).is_err());
}

#[test]
fn a_plan_that_cannot_be_served_ends_the_process_with_a_reason() {
    let run = |plan: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        std::fs::write(&path, plan).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_caudal-api-server"))
            .args([
                "--plan",
                path.to_str().unwrap(),
                "--address",
                "127.0.0.1:0",
                "--admin-address",
                "127.0.0.1:0",
            ])
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run("{").contains("load the plan"));
    let mut plan = pipeline().plan;
    plan.api.as_mut().unwrap().key = "nope".to_owned();
    assert!(run(&plan.to_json()).contains("api.key names"));
    plan.api = None;
    assert!(run(&plan.to_json()).contains("no api part"));
}

#[test]
fn says_its_version() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_caudal-api-server"))
        .arg("--version")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("caudal-api-server {}\n", env!("CARGO_PKG_VERSION")));
}
