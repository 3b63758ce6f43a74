//! The figures as Markdown.

use crate::harness::numbers::cell;
use crate::harness::numbers::median;
use crate::harness::numbers::quantile;
use crate::harness::numbers::short;
use crate::harness::numbers::table;
use crate::scenarios::Ratios;
use crate::scenarios::Sample;
use crate::scenarios::Scenario;
use crate::servers::Found;

/// The measurements of a server under one load.
#[derive(Debug)]
pub(crate) struct Row {
    scenario: &'static Scenario,
    server: &'static str,
    pub(crate) samples: Vec<Sample>,
    /// farewell's figures divided by those of this server.
    pub(crate) ratios: Vec<Ratios>,
}

impl Row {
    pub(crate) fn new(scenario: &'static Scenario, found: &Found) -> Self {
        Self {
            scenario,
            server: found.server.name(),
            samples: Vec::new(),
            ratios: Vec::new(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let middle = |figure: fn(&Sample) -> f64| median(self.samples.iter().map(figure));
        let requests = middle(|sample| sample.requests_per_second);
        let rate = match self.scenario.bytes {
            None => cell(requests),
            Some(bytes) => {
                let gibibytes = requests.map(|each| each * bytes as f64 / f64::from(1 << 30));
                format!("{} GiB/s", cell(gibibytes))
            }
        };
        vec![
            format!("{}, {}", self.scenario.title, self.server),
            rate,
            cell(middle(|sample| sample.processor_per_request)),
            cell(middle(|sample| sample.peak_memory / 1024.0)),
            self.ratio(|ratios| ratios.requests),
            self.ratio(|ratios| ratios.processor),
        ]
    }

    /// The median of a ratio, and its quartiles.
    fn ratio(&self, figure: fn(&Ratios) -> f64) -> String {
        let values = || self.ratios.iter().map(figure);
        let quartile = |share| quantile(values(), share);
        match (quartile(0.25), median(values()), quartile(0.75)) {
            (Some(low), Some(middle), Some(high)) => {
                format!("{} ({} – {})", short(middle), short(low), short(high))
            }
            _ => cell(None),
        }
    }
}

/// A table of all loads and servers.
pub(crate) fn of_rates(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heads = [
        "response, server",
        "requests/s",
        "CPU µs/request",
        "peak MiB",
        "farewell ÷ it: requests/s",
        "CPU/request",
    ];
    let rows: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    table(&heads, &rows)
}
