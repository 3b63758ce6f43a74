//! State that outlives its server: a thread counts the words that handlers send to
//! it, and the program writes their number to a file after the drain.
//!
//! ```sh
//! cargo run --example graceful FILE [ADDRESS]
//! curl -d 'three more words' http://127.0.0.1:8080/
//! curl http://127.0.0.1:8080/stuck    # never gets a response; the server still stops
//! ```

use std::sync::mpsc::{Receiver, Sender, channel};
use std::{env, error::Error, fs, io, thread, time::Duration};

use farewell::{Config, Rejection, Request, Router, Server};

enum Job {
    Count(String, Sender<usize>),
    /// Ends the thread: the channel stays open if a handler does not return.
    End,
}

fn count(jobs: Receiver<Job>, mut words: usize) -> usize {
    while let Ok(Job::Count(text, reply)) = jobs.recv() {
        words += text.split_whitespace().count();
        let _ = reply.send(words); // fails if the server has cut the request
    }
    words
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("missing FILE")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let before = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        text => text?.trim().parse()?,
    };
    let (jobs, received) = channel();
    let counting = thread::spawn(move || count(received, before));
    let feed = jobs.clone();
    let add = move |mut request: Request| -> Result<String, Rejection> {
        let (reply, answer) = channel();
        let _ = feed.send(Job::Count(request.text()?, reply)); // fails after `End`
        let words = answer.recv().map_err(io::Error::other)?;
        Ok(format!("{words} words\n"))
    };
    let stuck = |_: Request| thread::sleep(Duration::MAX);
    let routes = Router::new().post("/", add).get("/stuck", stuck);
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    println!("listening on http://{}", server.local_addr());
    let report = server.serve(routes.build()?)?;
    let _ = jobs.send(Job::End); // behind the jobs of all answered requests
    let words = counting.join().map_err(|_| "the count is lost")?;
    fs::write(&file, format!("{words}\n"))?;
    println!("{report}");
    let all_answered = report.all_answered().then_some(());
    all_answered.ok_or("the stop cut a request".into())
}
