//! A listener + a router → HTTP/1.1, with bounds on what clients may hold, and
//! the way down.

mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::stream::{Pace, Paced};

/// What one port takes on, and how it ends.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// How long connections are still accepted after the signal to end.
    pub linger: Duration,
    /// For the requests in flight after that.
    pub drain: Duration,
}

/// For a request's head, and how long a connection may stay idle: whoever sends
/// a byte now and then must not keep a place that others wait for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head. hyper looks after each read, so that a head a
/// little larger may pass; others are answered 431.
const MAX_HEAD_BYTES: usize = 32 << 10;
const PACE: Pace = Pace { grace: Duration::from_secs(30), bytes_per_second: 256 << 10 };
/// Between attempts to accept when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then drains.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, shutdown: CancellationToken) {
    let Bounds { connections, linger, drain } = bounds;
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(connections));
    let mut end = std::pin::pin!(async {
        shutdown.cancelled().await;
        tokio::time::sleep(linger).await;
    });
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut end => break,
            accepted = accept => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = graceful.watch(connection(stream, router.clone(), PACE));
        tokio::spawn(async move {
            // A client that goes away is no event.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = drain.as_secs(), "requests are cut off that did not end in time");
    }
}

type Connection = http1::Connection<TokioIo<Paced<TcpStream>>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router, pace: Pace) -> Connection {
    // Answers are written whole; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Paced::new(stream, pace)), TowerToHyperService::new(router))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const BYTES: usize = 16 << 20;

    /// A client that has asked one server, whose answers have 16 MiB, for one.
    async fn asked(head: &str, pace: Pace) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || vec![b'x'; BYTES]));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = connection(stream, router, pace).await;
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_reader_that_is_slow_and_not_dead_is_cut_off_too() {
        let pace = Pace { grace: Duration::from_millis(200), bytes_per_second: 1 << 30 };
        let mut client = asked(GET, pace).await;
        let began = Instant::now();
        let mut taken = 0;
        // A byte at a time, then what the way still holds.
        while began.elapsed() < Duration::from_secs(1) {
            taken += client.read(&mut [0; 1]).await.unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        assert!(taken + rest.len() < BYTES, "{}", taken + rest.len());
    }

    #[tokio::test]
    async fn a_reader_that_keeps_up_gets_all() {
        let mut client = asked(GET, PACE).await;
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert!(all.starts_with(b"HTTP/1.1 200") && all.len() > BYTES);
    }

    #[tokio::test]
    async fn a_large_head_is_refused() {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD_BYTES));
        let mut client = asked(&head, PACE).await;
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
    }
}
