//! The figures as Markdown, and as panels of bars.

use crate::harness::numbers::cell;
use crate::harness::numbers::median;
use crate::harness::numbers::short;
use crate::harness::numbers::spread;
use crate::harness::numbers::table;
use crate::harness::peers::Peer;
use crate::harness::plot::Panel;
use crate::harness::wrk::Errors;
use crate::measure::Idle;
use crate::measure::Sample;
use crate::scenario::Scenario;

/// Everything that was measured of one scenario.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    /// A row for each server that took part, in the order of the servers.
    pub(crate) rows: Vec<Row>,
    /// Who took no part, or failed, and why.
    pub(crate) notes: Vec<String>,
}

/// What one server did, once a round.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) peer: &'static Peer,
    pub(crate) samples: Vec<Sample>,
}

impl Row {
    /// The median of one figure over the rounds.
    pub(crate) fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        median(self.samples.iter().filter_map(figure))
    }

    pub(crate) fn requests(&self) -> Option<f64> {
        self.median(|sample| Some(sample.requests_per_second))
    }

    pub(crate) fn idle(&self, figure: impl Fn(&Idle) -> f64) -> Option<f64> {
        self.median(|sample| sample.idle.as_ref().map(&figure))
    }

    fn errors(&self) -> Errors {
        let mut all = Errors::default();
        self.samples.iter().for_each(|sample| all += sample.errors);
        all
    }
}

impl Outcome {
    /// The most requests a second that one of the others got.
    pub(crate) fn best_peer(&self) -> Option<f64> {
        let others = self.rows.iter().filter(|row| row.peer.competes());
        others.filter_map(Row::requests).max_by(f64::total_cmp)
    }

    pub(crate) fn markdown(&self) -> String {
        let rounds = self.rows.iter().map(|row| row.samples.len()).max();
        let mut text = format!(
            "#### {}\n\n`{}`, medians of {}\n\n",
            self.scenario.title,
            self.scenario.name,
            match rounds.unwrap_or_default() {
                1 => "1 round".to_owned(),
                rounds => format!("{rounds} rounds"),
            }
        );
        text += &self.figures();
        if self.scenario.idle > 0 {
            text += "\n";
            text += &self.idle_figures();
        }
        let remarks = self.rows.iter().filter_map(|row| {
            let remark = self.scenario.remark(row.peer)?;
            Some(format!("{}: {remark}", row.peer.name))
        });
        let notes: Vec<String> = remarks.chain(self.notes.iter().cloned()).collect();
        if !notes.is_empty() {
            text += &format!("\n{}.\n", notes.join("; "));
        }
        text
    }

    fn figures(&self) -> String {
        let mut heads = vec![
            "server",
            "requests/s",
            "least – most",
            "× best peer",
            "CPU µs/request",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "peak MiB",
            "errors",
        ];
        if self.scenario.load.close {
            heads.push("closed first by");
        }
        let best = self.best_peer();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let requests = row.requests();
                let range = spread(row.samples.iter().map(|sample| sample.requests_per_second));
                let ms = |figure: fn(&Sample) -> Option<f64>| {
                    cell(row.median(|sample| Some(figure(sample)? / 1e3)))
                };
                let mut cells = vec![
                    row.peer.name.to_owned(),
                    cell(requests),
                    range.map_or_else(
                        || "–".to_owned(),
                        |(least, most)| format!("{} – {}", short(least), short(most)),
                    ),
                    cell(requests.zip(best).map(|(requests, best)| requests / best)),
                    cell(row.median(|sample| sample.processor_per_request)),
                    ms(|sample| sample.p50),
                    ms(|sample| sample.p99),
                    ms(|sample| sample.p999),
                    cell(row.median(|sample| Some(sample.peak / 1024.0))),
                    row.errors().to_string(),
                ];
                if self.scenario.load.close {
                    cells.push(row.who_closes().to_owned());
                }
                cells
            })
            .collect();
        table(&heads, &rows)
    }

    fn idle_figures(&self) -> String {
        let heads = [
            "server",
            "idle opened",
            "still open at the end",
            "requests/s without them",
            "with ÷ without",
            "memory KiB/idle",
            "kernel's socket buffers KiB/idle, both ends",
        ];
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let failure = row.samples.iter().find_map(|sample| {
                    let failure = sample.idle.as_ref()?.failure.as_ref()?;
                    Some(format!(" ({failure})"))
                });
                let opened = cell(row.idle(|idle| idle.opened as f64));
                vec![
                    row.peer.name.to_owned(),
                    opened + &failure.unwrap_or_default(),
                    cell(row.idle(|idle| idle.still_open as f64)),
                    cell(row.idle(|idle| idle.without)),
                    cell(row.kept()),
                    cell(row.idle(|idle| idle.memory)),
                    cell(row.idle(|idle| idle.sockets)),
                ]
            })
            .collect();
        table(&heads, &rows)
    }

    /// The bars of one figure.
    pub(crate) fn panel(&self, figure: impl Fn(&Row) -> Option<f64>) -> Panel {
        let bars = self.rows.iter();
        Panel {
            title: self.scenario.title.to_owned(),
            bars: bars
                .filter_map(|row| Some((row.peer.name, figure(row)?)))
                .collect(),
        }
    }
}

impl Row {
    /// How much of its speed is left among idle connections.
    pub(crate) fn kept(&self) -> Option<f64> {
        self.median(|sample| {
            let idle = sample.idle.as_ref()?;
            Some(sample.requests_per_second / idle.without)
        })
    }

    fn who_closes(&self) -> &'static str {
        let sum = |(server, client), sample: &Sample| {
            let (more_server, more_client) = sample.closed_first;
            (server + more_server, client + more_client)
        };
        match self.samples.iter().fold((0, 0), sum) {
            (0, 0) => "–",
            (server, client) if server > client => "the server",
            _ => "the client",
        }
    }
}
