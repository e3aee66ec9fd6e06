//! The way to ClickHouse is encrypted, and only with whom we trust.

use std::process::Command;
use std::sync::Arc;

use caudal_model::state::Reason;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::pipeline::{Pipeline, Spec};
use super::stack::{Sent, stack};

/// A certificate for `localhost` that is its own authority, and its key.
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-out"])
            .arg(&certificate)
            .arg("-keyout")
            .arg(&key)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let read = |path| std::fs::read_to_string(path).unwrap();
        Self { certificate: read(certificate), key: read(key) }
    }
}

/// Decrypts in front of ClickHouse as long as it lives.
struct Door {
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Door {
    fn open(behind: u16, identity: &Identity) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust us goes away.
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let Ok(mut inside) = TcpStream::connect(("127.0.0.1", behind)).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { port, _runtime: runtime }
    }
}

#[test]
fn blocks_go_through_tls_to_a_trusted_server_only() {
    let stack = stack();
    let identity = Identity::create();
    let door = Door::open(stack.clickhouse.http_port(), &identity);
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    pipeline.plan.sink.connection.url = format!("https://localhost:{}", door.port);
    stack.publish(pipeline.topic(), (0..100).map(|id| Sent::value(0, format!(r#"{{"id":{id},"text":""}}"#))));
    let ingestor = pipeline.start();
    let state = ingestor.wait_state("distrust", |state| state.trouble.is_some());
    let trouble = state.trouble.unwrap();
    assert_eq!(trouble.reason, Reason::ClickHouseUnreachable);
    assert!(trouble.message.contains("certificate"), "{}", trouble.message);
    assert!(ingestor.terminate().success());

    pipeline.credential("clickhouse-ca.crt", &identity.certificate);
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 100);
    pipeline.assert_exactly_once(&stack, &[100]);
}

#[test]
fn a_wrong_password_is_told_apart_from_an_outage() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec::default());
    pipeline.credential("clickhouse-password", "wrong");
    let ingestor = pipeline.start();
    ingestor.wait_state("a refused login", |state| {
        state.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::AuthenticationFailed)
    });
}

#[test]
fn kafka_is_reached_with_user_and_password() {
    use caudal_model::plan::{SaslMechanism, SecurityProtocol};
    use caudal_testbed::kafka::DATA;
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    let connection = &mut pipeline.plan.source.connection;
    connection.bootstrap_servers = stack.kafka.sasl_bootstrap_servers();
    connection.security_protocol = SecurityProtocol::SaslPlaintext;
    connection.sasl_mechanism = Some(SaslMechanism::ScramSha512);
    stack.publish(pipeline.topic(), [Sent::value(0, r#"{"id":1,"text":""}"#)]);
    pipeline.credential("kafka-username", DATA.name);
    pipeline.credential("kafka-password", "wrong");
    let ingestor = pipeline.start();
    ingestor.wait_state("a refused login", |state| {
        state.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::AuthenticationFailed)
    });
    assert_eq!(ingestor.get("/readyz").unwrap().0, 503);
    drop(ingestor);
    pipeline.credential("kafka-password", DATA.password);
    let _ingestor = pipeline.start();
    pipeline.wait_rows(&stack, 1);
}
