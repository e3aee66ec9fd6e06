//! One request on one connection: no pool that retries, no redirect, no
//! request that is sent twice. What is not a clean answer is an error.

use std::collections::VecDeque;
use std::path::Path;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use caudal_service::credentials::Login;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::error::SinkError;
use super::tls::Tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Beyond the server's own limit: then the answer is unknown.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(super::MAX_EXECUTION_SECONDS + 30);
/// Connections kept for the next request.
const KEPT: usize = 8;

/// A ClickHouse server's HTTP port.
pub struct Server {
    host: String,
    port: u16,
    tls: Option<Tls>,
    login: Option<Login>,
    idle: Mutex<Vec<Connection>>,
}

/// An open connection, good for one request at a time.
pub struct Connection {
    sender: SendRequest<Pieces>,
    /// Not to be used after this: the server may be closing it.
    usable_until: Instant,
}

/// A request body that is a list of slices: nothing is copied.
pub struct Pieces(VecDeque<Bytes>);

impl From<Vec<Bytes>> for Pieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(pieces.into())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// A URL that is no address of a ClickHouse server.
#[derive(Debug, thiserror::Error)]
#[error("read the ClickHouse URL {0:?}: write http://host:port or https://host:port")]
struct BadUrl(String);

/// A connection's bytes, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Server {
    /// `authorities`: a PEM file with those to trust instead of the well-known
    /// ones.
    pub fn new(url: &str, login: Option<Login>, authorities: Option<&Path>) -> anyhow::Result<Self> {
        let bad = || BadUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 8123),
            Some("https") => (Some(Tls::new(&host, authorities)?), 8443),
            _ => return Err(bad().into()),
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(port), tls, login, idle: Mutex::default() })
    }

    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// An open connection: a kept one, or a new one.
    pub async fn connect(&self) -> Result<Connection, SinkError> {
        while let Some(kept) = self.idle.lock().map_or(None, |mut idle| idle.pop()) {
            if kept.usable_until > Instant::now() && !kept.sender.is_closed() {
                return Ok(kept);
            }
        }
        let act = format!("connect to ClickHouse at {}", self.address());
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, self.open())
            .await
            .map_err(|_| SinkError::unreachable(&act, "timed out"))?
            .map_err(|error| SinkError::unreachable(&act, error))?;
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| SinkError::unreachable(&act, error))?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Connection { sender, usable_until: Instant::now() + Duration::from_secs(1) })
    }

    async fn open(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let _ = stream.set_nodelay(true);
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.wrap(stream).await?),
        })
    }

    /// Sends one request on `connection` and reads its whole answer. Only a
    /// clean answer's body is returned: status 200, no exception, complete.
    /// After an error the connection is good for nothing.
    pub async fn request(
        &self,
        connection: &mut Connection,
        act: &str,
        parameters: &[(&str, &str)],
        body: Vec<Bytes>,
        content_type: Option<&str>,
    ) -> Result<Bytes, SinkError> {
        let request = self.build(parameters, body, content_type, act)?;
        let sender = &mut connection.sender;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            Ok::<_, hyper::Error>((head, body.collect().await?.to_bytes()))
        };
        let (head, body) = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| SinkError::unreachable(act, "no answer in time"))?
            .map_err(|error| SinkError::unreachable(act, root(&error)))?;
        let code = head.headers.get("x-clickhouse-exception-code");
        if head.status != 200 || code.is_some() {
            let code = code.and_then(|code| code.to_str().ok()).and_then(|code| code.parse().ok());
            let text = String::from_utf8_lossy(&body);
            return Err(SinkError::answered(act, head.status.as_u16(), code, &text));
        }
        connection.usable_until = Instant::now() + keep_alive(&head.headers) / 2;
        Ok(body)
    }

    /// Keeps a connection whose last answer was clean for the next request.
    pub fn keep(&self, connection: Connection) {
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < KEPT
            && !connection.sender.is_closed()
        {
            idle.push(connection);
        }
    }

    fn build(
        &self,
        parameters: &[(&str, &str)],
        body: Vec<Bytes>,
        content_type: Option<&str>,
        act: &str,
    ) -> Result<Request<Pieces>, SinkError> {
        let mut path = String::from("/?");
        for (name, value) in parameters {
            path.push_str(name);
            path.push('=');
            escape(value, &mut path);
            path.push('&');
        }
        path.pop();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", self.address())
            .header("user-agent", concat!("caudal/", env!("CARGO_PKG_VERSION")));
        if let Some(login) = &self.login {
            request = request
                .header("x-clickhouse-user", &login.username)
                .header("x-clickhouse-key", &login.password);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        request.body(body.into()).map_err(|error| SinkError::unreachable(act, error))
    }
}

/// How long the server says it keeps an idle connection.
fn keep_alive(headers: &HeaderMap) -> Duration {
    let value = headers.get("keep-alive").and_then(|value| value.to_str().ok());
    let seconds = value
        .and_then(|value| value.split([',', ' ']).find_map(|part| part.strip_prefix("timeout=")))
        .and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Percent-encodes everything that is not plain in a query string.
fn escape(value: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

fn root(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
