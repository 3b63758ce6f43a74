//! The figures as Markdown and as bar charts: medians of each server, and the
//! ratios of compared servers.

use crate::harness::numbers::cell;
use crate::harness::numbers::median;
use crate::harness::numbers::quantile;
use crate::harness::numbers::short;
use crate::harness::numbers::spread;
use crate::harness::numbers::table;
use crate::harness::peers::Peer;
use crate::harness::plot::Panel;
use crate::harness::wrk::Errors;
use crate::measure::IdleFigures;
use crate::measure::Sample;
use crate::scenario::Scenario;

/// The figures of one scenario.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    /// One row for each server and state.
    pub(crate) rows: Vec<Row>,
    pub(crate) comparisons: Vec<Comparison>,
    /// Which servers did not take part or failed, and why.
    pub(crate) notes: Vec<String>,
}

/// The measurements of one server in one state.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) peer: &'static Peer,
    pub(crate) samples: Vec<Sample>,
    pub(crate) idle: Option<IdleFigures>,
}

/// The ratios of two compared sides, one for each pair.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) this: String,
    pub(crate) other: String,
    /// The server of the other side.
    pub(crate) peer: &'static Peer,
    pub(crate) ratios: Vec<Ratios>,
}

/// The figures of one side divided by those of the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratios {
    pub(crate) requests: Option<f64>,
    pub(crate) processor: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// A median and its quartiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) median: f64,
    pub(crate) quartiles: (f64, f64),
}

impl Ratios {
    pub(crate) fn of(this: &Sample, other: &Sample) -> Self {
        let ratio = |figure: fn(&Sample) -> Option<f64>| {
            let ratio = figure(this)? / figure(other)?;
            ratio.is_finite().then_some(ratio)
        };
        Self {
            requests: ratio(|sample| Some(sample.requests_per_second)),
            processor: ratio(|sample| sample.processor_per_request),
            p99: ratio(|sample| sample.p99),
        }
    }
}

impl Quartiles {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let quartile = |share| quantile(values.iter().copied(), share);
        Some(Self {
            median: quartile(0.5)?,
            quartiles: (quartile(0.25)?, quartile(0.75)?),
        })
    }

    pub(crate) fn text(&self) -> String {
        let (low, high) = self.quartiles;
        format!("{} ({} – {})", short(self.median), short(low), short(high))
    }
}

impl Comparison {
    pub(crate) fn middle(&self, figure: impl Fn(&Ratios) -> Option<f64>) -> Option<Quartiles> {
        Quartiles::of(self.ratios.iter().filter_map(figure))
    }
}

impl Row {
    /// The median of a figure over the measurements.
    pub(crate) fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        median(self.samples.iter().filter_map(figure))
    }

    pub(crate) fn requests(&self) -> Option<f64> {
        self.median(|sample| Some(sample.requests_per_second))
    }

    /// The median of a figure of the bench's own client.
    pub(crate) fn client(&self, name: &str) -> Option<f64> {
        self.median(|sample| sample.client.get(name).copied())
    }

    /// The responses of the connection with the fewest, divided by those of the
    /// connection with the most.
    pub(crate) fn fewest_to_most(&self) -> Option<f64> {
        self.median(|sample| Some(sample.client.get("fewest")? / sample.client.get("most")?))
    }

    fn errors(&self) -> Errors {
        let mut all = Errors::default();
        self.samples.iter().for_each(|sample| all += sample.errors);
        all
    }

    fn closes(&self) -> &'static str {
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

/// A column: its head, and the function that gives a server's cell.
type Column = (&'static str, fn(&Row) -> String);

const REQUESTS: [Column; 2] = [
    ("requests/s", |row| cell(row.requests())),
    ("least – most", |row| {
        let range = spread(row.samples.iter().map(|sample| sample.requests_per_second));
        range.map_or_else(
            || "–".to_owned(),
            |(least, most)| format!("{} – {}", short(least), short(most)),
        )
    }),
];

const PROCESSOR: Column = ("CPU µs/request", |row| {
    cell(row.median(|sample| sample.processor_per_request))
});

const LATENCIES: [Column; 3] = [
    ("p50 ms", |row| {
        milliseconds(row.median(|sample| sample.p50))
    }),
    ("p99 ms", |row| {
        milliseconds(row.median(|sample| sample.p99))
    }),
    ("p99.9 ms", |row| {
        milliseconds(row.median(|sample| sample.p999))
    }),
];

const PEAK: Column = ("peak MiB", |row| {
    cell(row.median(|sample| Some(sample.peak / 1024.0)))
});

const ERRORS: Column = ("errors", |row| row.errors().to_string());

const CLOSES: Column = ("closed first by", |row| row.closes().to_owned());

const MIXED: [Column; 2] = [
    ("wake-ups/request", |row| {
        cell(row.median(|sample| sample.wakeups_per_request))
    }),
    ("p99 of the slow ms", |row| {
        let slow = |sample: &Sample| sample.client.get("p99").copied();
        milliseconds(row.median(slow))
    }),
];

const FAIR: [Column; 2] = [
    ("fewest ÷ most answers of a connection", |row| {
        cell(row.fewest_to_most())
    }),
    ("worst latency ms", |row| milliseconds(row.client("worst"))),
];

const FIRST_SLOW: [Column; 4] = [
    ("longest wait ms", |row| milliseconds(row.client("with"))),
    ("the largest of these", |row| {
        milliseconds(row.client("with_largest"))
    }),
    ("without a slow request ms", |row| {
        milliseconds(row.client("without"))
    }),
    ("the largest of these", |row| {
        milliseconds(row.client("without_largest"))
    }),
];

const IDLE: [Column; 4] = [
    ("idle opened", |row| {
        let failure = row.idle.as_ref().and_then(|idle| idle.failure.as_ref());
        let opened = of_idle(row, |idle| idle.opened as f64);
        failure.map_or(opened.clone(), |failure| format!("{opened} ({failure})"))
    }),
    ("still open at the end", |row| {
        of_idle(row, |idle| idle.still_open as f64)
    }),
    ("memory KiB/idle", |row| of_idle(row, |idle| idle.memory)),
    ("kernel's socket buffers KiB/idle, both ends", |row| {
        of_idle(row, |idle| idle.sockets)
    }),
];

fn of_idle(row: &Row, figure: fn(&IdleFigures) -> f64) -> String {
    cell(row.idle.as_ref().map(figure))
}

fn milliseconds(microseconds: Option<f64>) -> String {
    cell(microseconds.map(|time| time / 1e3))
}

/// The columns of a scenario.
fn columns(scenario: &Scenario) -> Vec<Column> {
    let mut columns = REQUESTS.to_vec();
    match scenario.name {
        "fair" => {
            columns.extend(FAIR);
            columns.extend(LATENCIES);
            columns.push(PEAK);
        }
        "first-slow" => columns.extend(FIRST_SLOW),
        name => {
            columns.push(PROCESSOR);
            if name.starts_with("mixed") {
                columns.extend(MIXED);
            }
            columns.extend(LATENCIES);
            columns.extend([PEAK, ERRORS]);
        }
    }
    if scenario.load.close {
        columns.push(CLOSES);
    }
    columns
}

impl Outcome {
    pub(crate) fn markdown(&self) -> String {
        let times = self.rows.iter().map(|row| row.samples.len()).max();
        let mut text = format!(
            "#### {}\n\n`{}`, medians of {}\n\n",
            self.scenario.title,
            self.scenario.name,
            match times.unwrap_or_default() {
                1 => "1 measurement".to_owned(),
                times => format!("{times} measurements at most"),
            }
        );
        text += &rows_table(self.rows.iter(), &columns(self.scenario));
        let among_idle = || self.rows.iter().filter(|row| row.idle.is_some());
        if among_idle().next().is_some() {
            text += "\n";
            text += &rows_table(among_idle(), &IDLE);
        }
        if !self.comparisons.is_empty() {
            text += "\n";
            text += &self.ratios();
        }
        let remarks = self.rows.iter().filter_map(|row| {
            let remark = self.scenario.remark(row.peer)?;
            Some(format!("{}: {remark}", row.peer.name))
        });
        let mut notes: Vec<String> = remarks.chain(self.notes.iter().cloned()).collect();
        // A server with several rows has the same remark in each.
        notes.dedup();
        if !notes.is_empty() {
            text += &format!("\n{}.\n", notes.join("; "));
        }
        text
    }

    fn ratios(&self) -> String {
        let heads = ["ratio", "pairs", "requests/s", "CPU/request", "p99"];
        let middle = |compared: &Comparison, figure: fn(&Ratios) -> Option<f64>| {
            let middle = compared.middle(figure);
            middle.map_or_else(|| "–".to_owned(), |middle| middle.text())
        };
        let rows: Vec<Vec<String>> = self
            .comparisons
            .iter()
            .map(|compared| {
                vec![
                    format!("{} ÷ {}", compared.this, compared.other),
                    compared.ratios.len().to_string(),
                    middle(compared, |ratios| ratios.requests),
                    middle(compared, |ratios| ratios.processor),
                    middle(compared, |ratios| ratios.p99),
                ]
            })
            .collect();
        table(&heads, &rows)
    }

    /// Whether each server has one row, and the load shows its speed.
    pub(crate) fn is_of_servers(&self) -> bool {
        let one_each = self.rows.iter().all(|row| row.label == row.peer.name);
        one_each && self.scenario.load.pause.is_none()
    }

    /// A panel with the bars of one figure.
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

fn rows_table<'a>(rows: impl Iterator<Item = &'a Row>, columns: &[Column]) -> String {
    let mut heads = vec!["server"];
    heads.extend(columns.iter().map(|(head, _)| head));
    let cells = |row: &Row| {
        let mut cells = vec![row.label.clone()];
        cells.extend(columns.iter().map(|(_, cell)| cell(row)));
        cells
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    table(&heads, &rows)
}
