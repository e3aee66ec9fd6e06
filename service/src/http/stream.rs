//! A connection whose other end must take what we write, and not too slowly.
//!
//! A client that asks and then reads little would hold its answer, and its
//! share of the memory for answers, as long as it likes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How slowly a client may take an answer: within the grace and the time its
/// bytes need at this rate.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub grace: Duration,
    pub bytes_per_second: u32,
}

pub struct Paced<S> {
    stream: S,
    pace: Pace,
    timer: Pin<Box<Sleep>>,
    /// When the answer began that is being written, and its bytes taken so far.
    /// It ends when all is flushed.
    answer: Option<(Instant, u32)>,
}

impl<S> Paced<S> {
    pub fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace, timer: Box::pin(tokio::time::sleep(pace.grace)), answer: None }
    }

    fn taken(
        &mut self,
        context: &mut Context<'_>,
        taken: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = taken {
            let (_, so_far) = self.answer.get_or_insert_with(|| (Instant::now(), 0));
            *so_far = so_far.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        self.bounded(context, taken)
    }

    /// Waiting for the client, but not beyond the answer's deadline.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            return progress;
        }
        let (began, taken) = *self.answer.get_or_insert_with(|| (Instant::now(), 0));
        let earned = Duration::from_secs(1) * taken / self.pace.bytes_per_second;
        let deadline = began + self.pace.grace + earned;
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.stream).poll_write(context, data);
        self.taken(context, taken)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        self.taken(context, taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.answer = None;
        }
        self.bounded(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(context, progress)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PACE: Pace = Pace { grace: Duration::from_millis(500), bytes_per_second: 8 };

    #[tokio::test]
    async fn gives_up_a_reader_that_takes_nothing() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let error = Paced::new(ours, PACE).write_all(&[1; 80]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn waits_for_one_that_keeps_the_pace() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut stream = Paced::new(ours, PACE);
        let writer = tokio::spawn(async move { stream.write_all(&[1; 800]).await });
        let (mut buffer, began) = ([0; 8], Instant::now());
        while began.elapsed() < PACE.grace * 2 {
            theirs.read_exact(&mut buffer).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        theirs.read_to_end(&mut Vec::new()).await.unwrap();
        writer.await.unwrap().unwrap();
    }
}
