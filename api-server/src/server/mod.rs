//! The public port: connections, their bounds, and the way down.

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

use self::stream::WriteTimeout;
use crate::limits::MAX_CONNECTIONS;

/// For a request's head, and how long a connection may stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// For a client to take more of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections are still accepted this long after the signal to end: until
/// then somebody may not know yet.
const LINGER: Duration = Duration::from_secs(2);
/// For the requests in flight after that.
const DRAIN: Duration = Duration::from_secs(20);
/// Between attempts to accept when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then drains.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut end = std::pin::pin!(async {
        shutdown.cancelled().await;
        tokio::time::sleep(LINGER).await;
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
        let connection = graceful.watch(connection(stream, router.clone()));
        tokio::spawn(async move {
            // A client that goes away is no event.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "requests are cut off that did not end in time");
    }
}

type Connection = http1::Connection<TokioIo<WriteTimeout<TcpStream>>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router) -> Connection {
    // Answers are written whole; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).serve_connection(
        TokioIo::new(WriteTimeout::new(stream, WRITE_TIMEOUT)),
        TowerToHyperService::new(router),
    )
}
