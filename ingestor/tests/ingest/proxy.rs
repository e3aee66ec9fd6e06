//! A TCP proxy that cuts, slows, freezes or refuses.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Half of an insert's answer arrives, then the connection breaks.
    CutAnswers,
    /// An insert arrives whole, and its connection breaks before the answer.
    CutBeforeAnswers,
    /// A kilobyte in ten milliseconds.
    Slow,
    /// Nothing moves, nothing breaks.
    Frozen,
    /// Inserts are answered with this code of ClickHouse's, and not passed on.
    Refuse(u32),
}

pub struct Proxy {
    port: u16,
    mode: Arc<Mutex<Mode>>,
    /// How often something was cut or refused.
    faults: Arc<AtomicU32>,
    /// How often a request was kept from moving.
    frozen: Arc<AtomicU32>,
}

impl Proxy {
    /// In front of a port of this machine.
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(Mutex::new(Mode::Pass));
        let (faults, frozen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (shared, counted, kept) = (mode.clone(), faults.clone(), frozen.clone());
        std::thread::spawn(move || {
            for outside in listener.incoming().flatten() {
                let Ok(inside) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let (mode, faults, frozen) = (shared.clone(), counted.clone(), kept.clone());
                Link { mode, faults, frozen, insert: Arc::default() }.start(outside, inside);
            }
        });
        Self { port, mode, faults, frozen }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub fn frozen(&self) -> u32 {
        self.frozen.load(Ordering::Relaxed)
    }

    pub fn faults(&self) -> u32 {
        self.faults.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Link {
    mode: Arc<Mutex<Mode>>,
    faults: Arc<AtomicU32>,
    frozen: Arc<AtomicU32>,
    /// The last request on this connection is an insert of a block.
    insert: Arc<Mutex<bool>>,
}

impl Link {
    fn start(self, outside: TcpStream, inside: TcpStream) {
        let (from, to) = (outside.try_clone().unwrap(), inside.try_clone().unwrap());
        let requests = self.clone();
        std::thread::spawn(move || requests.pump(&from, &to, true));
        std::thread::spawn(move || self.pump(&inside, &outside, false));
    }

    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream, request: bool) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..read];
            if request && bytes.starts_with(b"POST ") {
                let head = String::from_utf8_lossy(&bytes[..read.min(4_000)]);
                *self.insert.lock().unwrap() = head.contains("insert_deduplication_token");
            }
            if !self.pass(bytes, &mut from, &mut to, request) {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Passes `bytes` on as the mode says; `false`: the connection breaks.
    fn pass(&self, bytes: &[u8], from: &mut &TcpStream, to: &mut &TcpStream, request: bool) -> bool {
        let insert = *self.insert.lock().unwrap();
        if request && *self.mode.lock().unwrap() == Mode::Frozen {
            self.frozen.fetch_add(1, Ordering::Relaxed);
        }
        while *self.mode.lock().unwrap() == Mode::Frozen {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mode = *self.mode.lock().unwrap();
        match mode {
            Mode::CutAnswers if !request && insert => {
                self.faults.fetch_add(1, Ordering::Relaxed);
                let _ = to.write_all(&bytes[..bytes.len() / 2]);
                false
            }
            Mode::CutBeforeAnswers if !request && insert => {
                self.faults.fetch_add(1, Ordering::Relaxed);
                false
            }
            Mode::Refuse(code) if request && insert => {
                self.faults.fetch_add(1, Ordering::Relaxed);
                let body = "no";
                let answer = format!(
                    "HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: {code}\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = from.write_all(answer.as_bytes());
                false
            }
            Mode::Slow => bytes.chunks(1 << 10).all(|chunk| {
                std::thread::sleep(Duration::from_millis(10));
                to.write_all(chunk).is_ok()
            }),
            _ => to.write_all(bytes).is_ok(),
        }
    }
}
