//! Clients that read a large file slowly, and what they cost the server and a
//! quick client.

use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::harness::Result;
use crate::harness::machine;
use crate::harness::numbers;
use crate::harness::numbers::cell;
use crate::harness::numbers::median;
use crate::harness::numbers::quantile;
use crate::harness::peers::RunningServer;
use crate::served::Served;
use crate::servers::Found;

pub(crate) const NAME: &str = "slow";

/// Enough for both ends of the connections, and the files that a server keeps open.
pub(crate) const OPEN_FILES: u64 = 3_000;

const READERS: usize = 1_000;

/// Each reads so much in each pause: 16 KiB a second.
const READ_BYTES: usize = 8 << 10;
const PAUSE: Duration = Duration::from_millis(500);

/// How long the readers read before the server is measured, and meanwhile.
const SETTLE: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(2);

const PATIENCE: Duration = Duration::from_secs(10);

/// Measures each server with its slow readers, one after another.
///
/// # Errors
///
/// If a server does not start, or refuses the readers.
pub(crate) fn table(found: &[Found], served: &Served) -> Result<String> {
    let heads = [
        "1 000 slow readers of 100 MiB",
        "resident MiB before",
        "with them",
        "threads",
        "sockets MiB",
        "quick client alone, median ms",
        "beside them",
        "p99 ms",
        "CPU ms/s",
    ];
    let mut rows = Vec::new();
    for found in found {
        eprint!(".");
        rows.push(row(found, served)?);
    }
    eprintln!();
    Ok(format!("\n{}", numbers::table(&heads, &rows)))
}

fn row(found: &Found, served: &Served) -> Result<Vec<String>> {
    let server = found.start(served)?;
    let alone = quick(&server, Duration::from_secs(1))?;
    let resident = || server.process.memory("VmRSS") / 1024.0;
    let (resident_before, sockets_before) = (resident(), machine::socket_memory());
    let readers = open(&server)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| read_slowly(&readers, &over));
        let measured = measure(&server);
        over.store(true, Ordering::Relaxed);
        let (beside, processor) = measured?;
        let sockets = machine::socket_memory() - sockets_before;
        Ok(vec![
            found.server.name().to_owned(),
            cell(Some(resident_before)),
            cell(Some(resident())),
            server.process.threads().to_string(),
            cell(Some(sockets / 1024.0)),
            cell(median(alone)),
            cell(median(beside.iter().copied())),
            cell(quantile(beside, 0.99)),
            cell(Some(processor)),
        ])
    })
}

/// The times of a quick client, and the processor time of the server, in ms a second.
fn measure(server: &RunningServer) -> Result<(Vec<f64>, f64)> {
    thread::sleep(SETTLE);
    let before = server.process.processor_time();
    let start = Instant::now();
    let beside = quick(server, MEASURED)?;
    let used = server.process.processor_time().saturating_sub(before);
    Ok((
        beside,
        used.as_secs_f64() * 1e3 / start.elapsed().as_secs_f64(),
    ))
}

/// Begins all downloads, and reads the first bytes of each.
fn open(server: &RunningServer) -> Result<Vec<TcpStream>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port));
    let mut readers = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Before the connection begins, so that its window is as small as that.
        socket.set_recv_buffer_size(64 << 10)?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /100m HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        if start != *b"HTTP/1.1 200" {
            return Err("a slow reader does not get its file".into());
        }
        readers.push(stream);
    }
    Ok(readers)
}

fn read_slowly(readers: &[TcpStream], over: &AtomicBool) {
    let mut buffer = [0; READ_BYTES];
    while !over.load(Ordering::Relaxed) {
        for mut reader in readers {
            // A reader that was cut reads nothing.
            let _ = reader.read(&mut buffer);
        }
        thread::sleep(PAUSE);
    }
}

/// The times of requests for a small file, each on a new connection, in ms.
fn quick(server: &RunningServer, time: Duration) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let begin = Instant::now();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /1k HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        if !response.starts_with(b"HTTP/1.1 200") {
            return Err("the quick client does not get its file".into());
        }
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        thread::sleep(Duration::from_millis(5));
    }
    Ok(times)
}
