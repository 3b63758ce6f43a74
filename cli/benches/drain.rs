//! How long a stop takes, from SIGTERM to the exit of the process, with idle
//! connections and with requests in progress.
//!
//! `cargo bench --bench drain` takes about a minute. Options after `--`:
//! `--rounds N`, `--quick`, `--write`. It writes `benches/RESULTS.md`. The row
//! with 10 000 idle connections needs a limit of 11 000 open files.

#[path = "../../benches/harness/mod.rs"]
mod harness;

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::process::ExitCode;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use harness::Result;
use harness::idle_connections::IdleConnections;
use harness::machine;
use harness::numbers::cell;
use harness::numbers::median;
use harness::numbers::short;
use harness::numbers::spread;
use harness::numbers::table;
use harness::options::BenchOptions;
use harness::peers::RunningServer;
use harness::plot;
use harness::process::Process;
use harness::process::Session;
use harness::process::free_port;
use harness::process::raise_open_files;
use harness::results;

const IDLE: [usize; 4] = [0, 100, 1_000, 10_000];
const IN_PROGRESS: [usize; 3] = [0, 16, 64];
const ROUNDS: usize = 5;

/// Files besides the connections, of the program and of the bench.
const OTHER_FILES: usize = 1_000;

/// How long a handler takes, and how long it has run when the stop begins.
const DELAY: Duration = Duration::from_millis(100);
const BEFORE_THE_STOP: Duration = Duration::from_millis(30);

fn main() -> ExitCode {
    harness::exit_code(run)
}

fn run() -> Result<()> {
    let options = BenchOptions::of_process()?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let limit = raise_open_files();
    let mut text = format!(
        "## Drain\n\n{}- the program `farewell --workers 64`, in a process session of its own; medians of {rounds} stops\n\n",
        machine::description(&options.command("drain"))?
    );

    let (there, left_out): (Vec<usize>, Vec<usize>) = IDLE
        .into_iter()
        .partition(|&count| (count + OTHER_FILES) as u64 <= limit);
    let idle = each(&there, rounds, among_idle)?;
    let in_progress = each(&IN_PROGRESS, rounds, with_requests)?;
    if options.writes() {
        let curve = |rows: &[Row], figure: fn(&Stop) -> Duration| {
            let points = rows.iter();
            points
                .filter_map(|row| Some((row.count as f64, row.median(figure)?)))
                .collect()
        };
        let curves = [
            ("to the exit", curve(&idle, |stop| stop.exit)),
            (
                "without the last call",
                curve(&idle, Stop::after_the_last_call),
            ),
        ];
        plot::curves(
            &results::plot("drain.svg")?,
            "idle connections",
            "ms",
            &curves,
        )?;
        text += "![time to the exit against idle connections](results/drain.svg)\n\n";
    }
    text += &idle_table(&idle);
    for count in left_out {
        text += &format!(
            "\n{count} idle connections: not measured, the limit of open files is {limit}.\n"
        );
    }
    text += &in_progress_table(&in_progress);
    println!("\n{text}");
    if options.writes() {
        results::write("drain", &text)?;
    }
    Ok(())
}

/// All stops with one number of connections.
struct Row {
    count: usize,
    stops: Vec<Stop>,
}

/// One stop. Times are from the signal.
struct Stop {
    exit: Duration,
    /// When the last client had its response, if requests were in progress.
    last_answer: Duration,
    /// How much of it was the last call. Zero if requests were in progress.
    last_call: Duration,
    code: Option<i32>,
}

impl Stop {
    fn after_the_last_call(&self) -> Duration {
        self.exit.saturating_sub(self.last_call)
    }

    fn after_the_last_answer(&self) -> Duration {
        self.exit.saturating_sub(self.last_answer)
    }
}

impl Row {
    /// In ms.
    fn median(&self, figure: impl Fn(&Stop) -> Duration) -> Option<f64> {
        median(self.stops.iter().map(|stop| milliseconds(figure(stop))))
    }

    fn spread(&self) -> String {
        let all = spread(self.stops.iter().map(|stop| milliseconds(stop.exit)));
        all.map_or_else(String::new, |(least, most)| {
            format!("{} – {}", short(least), short(most))
        })
    }

    /// The exit codes. 0 means that every request was answered.
    fn codes(&self) -> String {
        let mut codes: Vec<String> = self
            .stops
            .iter()
            .map(|stop| {
                stop.code
                    .map_or("a signal".to_owned(), |code| code.to_string())
            })
            .collect();
        codes.sort();
        codes.dedup();
        codes.join(", ")
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The numbers of connections alternate, so that drift of the machine affects
/// all rows alike.
fn each(counts: &[usize], rounds: usize, stop: fn(usize) -> Result<Stop>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = counts
        .iter()
        .map(|&count| Row {
            count,
            stops: Vec::new(),
        })
        .collect();
    for _ in 0..rounds {
        for row in &mut rows {
            let stop = stop(row.count)?;
            eprintln!("{} connections: {:?}", row.count, stop.exit);
            row.stops.push(stop);
        }
    }
    Ok(rows)
}

fn start() -> Result<RunningServer> {
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let program = env!("CARGO_BIN_EXE_farewell");
    let words = [
        "env",
        "RUST_LOG=warn",
        program,
        "--listen",
        &listen,
        "--workers",
        "64",
        "--max-connections",
        "12000",
    ];
    let words = words.map(str::to_owned);
    let process = Process::start(&words, Session::Own, Stdio::null(), Stdio::inherit())?;
    let mut server = RunningServer::new(process, port);
    server.wait_until_ready()?;
    server.process.check_session(Session::Own)?;
    Ok(server)
}

/// Idle clients that close when the server has closed.
fn among_idle(count: usize) -> Result<Stop> {
    let mut server = start()?;
    let connections = IdleConnections::open(server.port, count);
    if let Some(failure) = connections.failure {
        return Err(format!("cannot open the idle connections: {failure}").into());
    }
    let closing = thread::spawn(move || connections.close_after_the_server());
    let (exit, code) = stop(&mut server)?;
    closing.join().map_err(|_| "the closing thread panicked")?;
    let last_call = match count {
        0 => Duration::ZERO,
        _ => farewell::Config::default().last_call,
    };
    Ok(Stop {
        exit,
        last_answer: Duration::ZERO,
        last_call,
        code,
    })
}

/// Clients with requests in progress.
fn with_requests(count: usize) -> Result<Stop> {
    let mut server = start()?;
    let asking = (0..count).map(|_| ask(server.port));
    let clients = asking.collect::<io::Result<Vec<TcpStream>>>()?;
    thread::sleep(BEFORE_THE_STOP);
    let waiting: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || (answer(client), Instant::now())))
        .collect();
    let trigger = Instant::now();
    let (exit, code) = stop(&mut server)?;
    let mut last_answer = Duration::ZERO;
    for client in waiting {
        let (answered, at) = client.join().map_err(|_| "a client panicked")?;
        if !answered? {
            return Err("a request in progress was not answered".into());
        }
        last_answer = last_answer.max(at.saturating_duration_since(trigger));
    }
    Ok(Stop {
        exit,
        last_answer,
        last_call: Duration::ZERO,
        code,
    })
}

fn stop(server: &mut RunningServer) -> Result<(Duration, Option<i32>)> {
    let trigger = Instant::now();
    server.process.signal("TERM")?;
    let status = server.process.wait(Duration::from_secs(60))?;
    Ok((trigger.elapsed(), status.code()))
}

fn ask(port: u16) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let delay = DELAY.as_millis();
    write!(
        client,
        "GET /?delay={delay}ms HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )?;
    Ok(client)
}

/// Reads to the end. Returns whether there was a response with status 200.
fn answer(mut client: TcpStream) -> io::Result<bool> {
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut response = Vec::new();
    client.read_to_end(&mut response)?;
    Ok(response.starts_with(b"HTTP/1.1 200 "))
}

fn idle_table(rows: &[Row]) -> String {
    // The growth is from the row before, unless that row has no last call.
    let mut before: Option<(usize, f64)> = None;
    let cells = rows.iter().map(|row| {
        let rest = row.median(Stop::after_the_last_call);
        let each = rest
            .zip(before)
            .map(|(rest, (count, before))| (rest - before) * 1e3 / (row.count - count) as f64);
        before = rest.filter(|_| row.count > 0).map(|rest| (row.count, rest));
        vec![
            row.count.to_string(),
            cell(row.median(|stop| stop.exit)),
            row.spread(),
            cell(row.median(|stop| stop.last_call)),
            cell(rest),
            cell(each),
            row.codes(),
        ]
    });
    let heads = [
        "idle connections",
        "trigger to exit, ms",
        "least – most",
        "of it the last call",
        "the remaining time",
        "growth for each, µs",
        "exit code",
    ];
    format!(
        "An idle connection gets a last call, {} ms by default, before it is closed:\n\n{}",
        farewell::Config::default().last_call.as_millis(),
        table(&heads, &cells.collect::<Vec<_>>())
    )
}

fn in_progress_table(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.count.to_string(),
            cell(row.median(|stop| stop.exit)),
            row.spread(),
            cell(row.median(|stop| stop.last_answer)),
            cell(row.median(Stop::after_the_last_answer)),
            row.codes(),
        ]
    });
    let heads = [
        "requests in progress",
        "trigger to exit, ms",
        "least – most",
        "trigger to the last response, ms",
        "the remaining time",
        "exit code",
    ];
    format!(
        "\nEach request takes {} ms, and has run for {} ms when the stop begins:\n\n{}",
        DELAY.as_millis(),
        BEFORE_THE_STOP.as_millis(),
        table(&heads, &cells.collect::<Vec<_>>())
    )
}
