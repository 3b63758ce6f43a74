//! Files of web forms, which a thread of the application compresses one after the other.
//! A stop finishes those that have been accepted. With metrics, probes and `/shutdown`.
//!
//! ```sh
//! cargo run --example jobs --features json,metrics,multipart,stop-routes FOLDER [ADDRESS]
//! curl -i -F file=@picture.bmp http://127.0.0.1:8080/jobs    # makes FOLDER/0.gz
//! curl http://127.0.0.1:8080/jobs/0
//! curl http://127.0.0.1:8080/metrics
//! curl 'http://127.0.0.1:8080/shutdown?wait'
//! ```

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::{env, error::Error, fs::File, io, io::Seek, thread};

use farewell::{BodyLimits, Config, IntoResponse, MultipartLimits, Rejection, Request};
use farewell::{Router, Server, State, StatusCode, StopAccess, StopRoutes, header};
use flate2::{Compression, read::GzEncoder};
use serde_json::{Value, json};

/// The number of a file, and the file. `None` ends the thread: the channel stays open,
/// because handlers have a sender.
type Job = Option<(usize, File)>;

struct Jobs {
    queue: SyncSender<Job>,
    states: Mutex<Vec<&'static str>>,
}

fn submit(jobs: &Jobs, mut request: Request) -> Result<impl IntoResponse, Rejection> {
    let mut form = request.multipart(MultipartLimits::default())?;
    let mut file = tempfile::tempfile()?;
    if let Some(mut part) = form.next_part_named("file")? {
        io::copy(&mut part, &mut file)?;
    }
    if file.stream_position()? == 0 {
        let why = "the form has no file, or an empty one";
        return Err(Rejection::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    file.rewind()?;
    let mut states = jobs.states.lock()?;
    let id = states.len();
    if jobs.queue.try_send(Some((id, file))).is_err() {
        let full = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "the queue is full");
        return Err(full.with_header(header::RETRY_AFTER, "10"));
    }
    states.push("queued");
    let location = [(header::LOCATION, format!("/jobs/{id}"))];
    Ok((location, StatusCode::ACCEPTED))
}

fn state(jobs: &Jobs, request: Request) -> Result<Option<Value>, Rejection> {
    let id: usize = request.param_as("id")?;
    let state = jobs.states.lock()?.get(id).copied();
    Ok(state.map(|state| json!({ "state": state })))
}

fn compress(file: File, to: String) -> io::Result<u64> {
    let mut compressed = GzEncoder::new(file, Compression::default());
    io::copy(&mut compressed, &mut File::create(to)?)
}

fn work(jobs: &Jobs, queue: Receiver<Job>, folder: &str) {
    let states = || jobs.states.lock().unwrap_or_else(PoisonError::into_inner);
    while let Ok(Some((id, file))) = queue.recv() {
        states()[id] = "running";
        let result = compress(file, format!("{folder}/{id}.gz"));
        states()[id] = if result.is_ok() { "done" } else { "failed" };
        println!("job {id}: {result:?}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("missing FOLDER")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let ((queue, queued), states) = (sync_channel(8), Mutex::default());
    let jobs = State::new(Jobs { queue, states });
    let worker = jobs.clone();
    let worker = thread::spawn(move || work(&worker, queued, &folder));
    let server = Server::bind(address, Config::default())?
        .render_rejections(|error| json!({ "error": error.message() }));
    server.stop_on_signals()?;
    let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    let routes = Router::new()
        .post("/jobs", jobs.handler(submit))
        .body_limits(BodyLimits::new().bytes_max(1 << 30))
        .get("/jobs/{id}", jobs.handler(state))
        .get("/metrics", server.metrics().handler())
        .nest("/", stop.router());
    println!("listening on http://{}", server.local_addr());
    let report = server.serve(routes.build()?);
    jobs.queue.send(None)?; // behind all jobs that have been accepted
    worker.join().map_err(|_| "the worker has panicked")?;
    println!("{}", report?);
    Ok(())
}
